import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseIpv4, parsePrefix } from "../formats/netip/index.ts";
import type { Lease } from "../subnet/index.ts";
import { PeerSet } from "./peer-set.ts";

const lease = (n: number, publicIp = `192.168.100.${n}`): Lease => ({
  subnet: parsePrefix(`10.244.${n}.0/24`),
  attrs: { publicIp: parseIpv4(publicIp), backendType: "vxlan" },
});
const subnets = (peers: readonly Lease[]): unknown[] => peers.map((peer) => peer.subnet?.address);
const MINUTE = 60_000;

describe("PeerSet", () => {
  it("is all leases but our own, and lets go at once who left", () => {
    const peers = new PeerSet(lease(1));
    peers.update([lease(1), lease(2), lease(3)], 0);
    assert.deepEqual(subnets(peers.current(0)), ["10.244.2.0", "10.244.3.0"]);
    peers.update([lease(1), lease(3)], 1);
    assert.deepEqual(subnets(peers.current(1)), ["10.244.3.0"]);
    assert.equal(peers.nextChangeAt(1), undefined);
  });

  it("keeps everybody for a while when the store forgot ourselves too", () => {
    const peers = new PeerSet(lease(1));
    peers.update([lease(1), lease(2), lease(3)], 0);
    peers.update([], 10);
    assert.deepEqual(subnets(peers.current(10)), ["10.244.2.0", "10.244.3.0"]);
    // One comes back with another address before we do.
    peers.update([lease(1), lease(3, "192.168.100.33")], 20);
    assert.deepEqual(subnets(peers.current(20)), ["10.244.3.0", "10.244.2.0"]);
    assert.equal(peers.current(20)[0]?.attrs.publicIp, "192.168.100.33");
    assert.equal(peers.nextChangeAt(20), 10 + MINUTE);
    assert.deepEqual(subnets(peers.current(10 + MINUTE)), ["10.244.3.0"]);
  });

  it("lets go at once who leaves after the store has known ourselves again", () => {
    const peers = new PeerSet(lease(1));
    peers.update([lease(1), lease(2)], 0);
    peers.update([], 10);
    peers.update([lease(1), lease(3)], 20);
    assert.deepEqual(subnets(peers.current(20)), ["10.244.3.0", "10.244.2.0"]);
    peers.update([lease(1)], 30);
    assert.deepEqual(subnets(peers.current(30)), ["10.244.2.0"]);
  });

  it("does not hold on to anybody because its own lease is still to come", () => {
    const peers = new PeerSet(lease(1));
    peers.update([lease(2)], 0);
    peers.update([lease(1), lease(2)], 1);
    peers.update([lease(1)], 2);
    assert.deepEqual(peers.current(2), []);
  });

  it("gives a held subnet up when somebody else has part of it", () => {
    const peers = new PeerSet(lease(1));
    peers.update([lease(1), lease(2)], 0);
    peers.update([{ ...lease(2), subnet: parsePrefix("10.244.2.128/25") }], 1);
    assert.deepEqual(
      peers.current(1).map((peer) => peer.subnet?.length),
      [25],
    );
  });
});
