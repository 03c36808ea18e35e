import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseIpv4 } from "../../../formats/netip/index.ts";
import { bigEndian, littleEndian, PeerTable } from "./peer-table.ts";

describe("PeerTable", () => {
  const table = new PeerTable([
    ["10.244.0.0/16", "192.168.100.1"],
    ["10.244.2.0/24", "192.168.100.2"],
    ["10.244.2.128/26", "192.168.100.3"],
    ["200.0.0.0/8", "255.255.255.255"],
  ]);
  for (const [destination, node] of [
    ["10.244.9.9", "192.168.100.1"],
    ["10.244.2.1", "192.168.100.2"],
    ["10.244.2.130", "192.168.100.3"],
    ["10.244.2.192", "192.168.100.2"],
    ["200.255.1.1", "255.255.255.255"],
    ["10.245.0.0", undefined],
    ["0.0.0.0", undefined],
  ] as const)
    it(`sends ${destination} to ${node ?? "nobody"}: the longest subnet wins`, () => {
      const found = table.lookUp(bigEndian(parseIpv4(destination)));
      assert.equal(found, node === undefined ? -1 : littleEndian(parseIpv4(node)));
    });

  it("keeps thousands of leases, each at one look", () => {
    const peers = Array.from({ length: 20_000 }, (_, n) => {
      const node = `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}` as const;
      return [`10.${(n >> 8) & 255}.${n & 255}.0/24`, node] as const;
    });
    const large = new PeerTable(peers);
    assert.equal(large.lookUp(bigEndian(parseIpv4("10.77.31.9"))), littleEndian(parseIpv4("10.0.77.31")));
  });
});
