// What moving a lease must do with any store.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { formatLeaseAttrs, type LeaseAttrs } from "../formats/flannel/index.ts";
import { formatPrefix, parseIpv4, parsePrefix } from "../formats/netip/index.ts";
import { openEtcdStore, type Store } from "../store/index.ts";
import type { ContractServer } from "../store/testing/contract-server.ts";
import { type Lease, SubnetManager } from "./index.ts";
import { TestLog } from "./testing/log.ts";

const PREFIX = "/coreos.com/network";
const attrs = (node: number): LeaseAttrs => ({ publicIp: parseIpv4(`192.168.77.${node}`), backendType: "host-gw" });

export function moveContract(name: string, start: () => Promise<ContractServer>, skip: string | false = false): void {
  describe(`subnet contract, moving: ${name}`, { skip, timeout: 120_000 }, () => {
    let server: ContractServer;
    let store: Store;
    before(async () => {
      server = await start();
      store = await openEtcdStore({ endpoints: server.endpoints });
    });
    after(async () => {
      await store?.[Symbol.asyncDispose]();
      await server?.[Symbol.asyncDispose]();
    });
    beforeEach(async () => {
      await store.deletePrefix("");
      await store.put(`${PREFIX}/config`, '{"Network":"10.5.0.0/16","Backend":{"Type":"host-gw"}}');
    });
    const manager = (node = 1): SubnetManager =>
      new SubnetManager({ store, log: new TestLog(), nodeName: `node${node}` });
    const key = ({ subnet = parsePrefix("0.0.0.0/0") }: Lease): string =>
      `${PREFIX}/subnets/${formatPrefix(subnet).replace("/", "-")}`;

    test("a node that moves keeps its subnet, under a key made anew, and leaves its old address to others", async () => {
      const one = manager();
      const lease = await one.acquire(attrs(1));
      const before = await store.get(key(lease));
      const moved = await one.move(lease, { ...lease.attrs, publicIp: parseIpv4("192.168.77.9") });
      const after = await store.get(key(lease));
      assert.equal(after?.valueText, before?.valueText.replace("192.168.77.1", "192.168.77.9"));
      assert.notEqual(after?.createRevision, before?.createRevision, "Flannel's nodes see it go and come");
      assert.notEqual(after?.lease, 0n);
      assert.deepEqual([moved.subnet, moved.attrs.publicIp], [lease.subnet, "192.168.77.9"]);
      assert.deepEqual(
        await one.move(lease, moved.attrs),
        { ...lease, attrs: moved.attrs },
        "a second time is no news",
      );
      assert.equal((await store.get(key(lease)))?.modRevision, after?.modRevision);
      await manager(2).acquire(attrs(1));
      await assert.rejects(manager(3).acquire({ ...attrs(3), publicIp: parseIpv4("192.168.77.9") }), {
        reason: "duplicate",
      });
    });

    test("a node does not move to another live node's address, nor over another node's lease", async () => {
      const [one, two] = [manager(1), manager(2)];
      const lease = await one.acquire(attrs(1));
      await two.acquire(attrs(2));
      await assert.rejects(one.move(lease, attrs(2)), { reason: "duplicate" });
      await store.put(key(lease), formatLeaseAttrs(attrs(7)));
      await assert.rejects(one.move(lease, attrs(8)), { reason: "contended" });
      assert.equal((await store.get(key(lease)))?.valueText, formatLeaseAttrs(attrs(7)));
    });

    test("a reservation stays one when its node moves, and a lost lease is taken again by the move", async () => {
      const one = manager();
      const lease = await one.acquire(attrs(1));
      await store.put(key(lease), formatLeaseAttrs(attrs(1)));
      const moved = await one.move(lease, attrs(4));
      assert.equal((await store.get(key(lease)))?.lease, 0n);
      await store.delete(key(lease));
      await one.move(moved, attrs(5));
      assert.equal((await store.get(key(lease)))?.valueText, formatLeaseAttrs(attrs(5)));
    });
  });
}
