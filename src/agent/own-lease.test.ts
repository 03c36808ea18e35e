import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { parseIpv4, parsePrefix } from "../formats/netip/index.ts";
import type { Lease } from "../subnet/index.ts";
import { OwnLease } from "./own-lease.ts";

const LEASE: Lease = {
  subnet: parsePrefix("10.244.1.0/24"),
  attrs: { publicIp: parseIpv4("192.168.100.11"), backendType: "vxlan", backendData: { VNI: 1 } },
};
const SILENT = { debug() {}, info() {}, warn() {}, error() {} } as never;

/** A store that refuses the first `failures` moves. */
function world(failures = 0): { own: OwnLease; said: string[]; until: (line: string) => Promise<void> } {
  const said: string[] = [];
  const events = new EventTarget();
  const say = (line: string): void => {
    said.push(line);
    events.dispatchEvent(new Event("said"));
  };
  let left = failures;
  const own = new OwnLease({
    lease: LEASE,
    renewMarginMs: 1000,
    log: SILENT,
    subnets: {
      keep: async ({ attrs }, signal) => {
        say(`keep ${attrs.publicIp}`);
        if (!signal.aborted) await once(signal, "abort");
        say(`kept ${attrs.publicIp}`);
      },
      move: async (lease, attrs) => {
        say(`move ${lease.attrs.publicIp} to ${attrs.publicIp} ${JSON.stringify(attrs.backendData)}`);
        if (left-- > 0) throw new Error("the store is away");
        return { ...lease, attrs };
      },
    },
  });
  const until = async (line: string): Promise<void> => {
    while (!said.includes(line)) await once(events, "said");
  };
  return { own, said, until };
}

describe("OwnLease", () => {
  it("keeps the lease, and when the node moves publishes it anew before it keeps that", async () => {
    const { own, said, until } = world();
    const stop = new AbortController();
    const running = own.run(stop.signal);
    await until("keep 192.168.100.11");
    own.publish({ publicIp: parseIpv4("192.168.100.77") });
    await until("keep 192.168.100.77");
    assert.equal(own.lease.attrs.publicIp, "192.168.100.77");
    stop.abort();
    await running;
    assert.deepEqual(said, [
      "keep 192.168.100.11",
      "kept 192.168.100.11",
      'move 192.168.100.11 to 192.168.100.77 {"VNI":1}',
      "keep 192.168.100.77",
      "kept 192.168.100.77",
    ]);
  });

  it("tries again while the store refuses, and gives up what is no news any more", async () => {
    const { own, said, until } = world(1000);
    const stop = new AbortController();
    const running = own.run(stop.signal);
    await until("keep 192.168.100.11");
    own.publish({ publicIp: parseIpv4("192.168.100.77") });
    await until('move 192.168.100.11 to 192.168.100.77 {"VNI":1}');
    own.publish({ publicIp: parseIpv4("192.168.100.11") });
    said.length = 0;
    await until("keep 192.168.100.11");
    stop.abort();
    await running;
  });
});
