// What must hold of leases with any store when others write at the same moment, or wrote while nobody looked.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { formatLeaseAttrs, formatVxlanBackendData, type LeaseAttrs } from "../formats/flannel/index.ts";
import { formatPrefix, parseIpv4, parseIpv6, parseMac, parsePrefix } from "../formats/netip/index.ts";
import { openEtcdStore, type Store } from "../store/index.ts";
import { compact } from "../store/testing/compact.ts";
import type { ContractServer } from "../store/testing/contract-server.ts";
import { type Lease, SubnetManager } from "./index.ts";
import { TestLog } from "./testing/log.ts";

const PREFIX = "/coreos.com/network";
const DIRECTORY = `${PREFIX}/subnets/`;

function attrs(node: number, mac = 0): LeaseAttrs {
  const vtepMac = parseMac(`02:00:00:00:0${mac}:0${node}`);
  const backendData = formatVxlanBackendData({ vni: 1, vtepMac });
  return { publicIp: parseIpv4(`192.168.77.${node}`), backendType: "vxlan", backendData };
}

/** The store as it is, but `rival` writes once before the first transaction that puts a key of `directory`. */
function raced(store: Store, directory: string, rival: () => Promise<unknown>): Store {
  let isRaced = false;
  return new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      if (name !== "txn") return value.bind(target);
      return async (txn: Parameters<Store["txn"]>[0]) => {
        if (!isRaced && txn.success.some((op) => op.op === "put" && op.key.startsWith(directory))) {
          isRaced = true;
          await rival();
        }
        return target.txn(txn);
      };
    },
  });
}

export function racesContract(name: string, start: () => Promise<ContractServer>, skip: string | false = false): void {
  describe(`subnet contract, races: ${name}`, { skip, timeout: 120_000 }, () => {
    let server: ContractServer;
    let store: Store;
    let log: TestLog;
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
      await store.put(`${PREFIX}/config`, '{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}');
      log = new TestLog();
    });
    const manager = (node = 1, other: Store = store): SubnetManager =>
      new SubnetManager({ store: other, log, nodeName: `node${node}` });
    const key = (lease: Lease): string =>
      DIRECTORY + formatPrefix(lease.subnet ?? parsePrefix("::/0")).replace("/", "-");

    test("a node that is too late for its previous subnet by a moment gets another", async () => {
      const previous = parsePrefix("10.5.50.0/24");
      const rival = (): Promise<bigint> => store.put(`${DIRECTORY}10.5.50.0-24`, formatLeaseAttrs(attrs(2)));
      const lease = await manager(1, raced(store, DIRECTORY, rival)).acquire(attrs(1), [previous]);
      assert.notDeepEqual(lease.subnet, previous);
      assert.equal((await store.get(`${DIRECTORY}10.5.50.0-24`))?.valueText, formatLeaseAttrs(attrs(2)));
    });

    test("a node that takes up its old lease puts it over nothing that changed meanwhile", async () => {
      const lease = await manager().acquire(attrs(1));
      const rival = (): Promise<bigint> => store.put(key(lease), formatLeaseAttrs(attrs(2)));
      const other = await manager(1, raced(store, DIRECTORY, rival)).acquire(attrs(1));
      assert.notDeepEqual(other.subnet, lease.subnet);
      assert.equal((await store.get(key(lease)))?.valueText, formatLeaseAttrs(attrs(2)));
    });

    test("keep() renews by compare-and-swap: what another node puts at that moment stays", async () => {
      const lease = await manager().acquire(attrs(1));
      // Half of it is over before it is seen to be due.
      await store.put(key(lease), formatLeaseAttrs(attrs(1)), { lease: await store.grant(4) });
      const stop = new AbortController();
      const rival = (): Promise<bigint> => store.put(key(lease), formatLeaseAttrs(attrs(2)));
      const kept = manager(1, raced(store, DIRECTORY, rival)).keep(lease, stop.signal, 60 * 60 * 1000);
      await log.waitFor(/another node has taken this node's subnet/);
      assert.equal((await store.get(key(lease)))?.valueText, formatLeaseAttrs(attrs(2)));
      stop.abort();
      await kept;
    });

    test("watch() after a compaction shows a peer's new MAC, who came and who went, and this node's own lease", async () => {
      const own = await manager(1).acquire(attrs(1), [parsePrefix("10.5.1.0/24")]);
      const [two, three, four] = [2, 3, 4].map((n) => `${DIRECTORY}10.5.${n}.0-24`) as [string, string, string];
      await store.put(two, formatLeaseAttrs(attrs(2)));
      await store.put(three, formatLeaseAttrs(attrs(3)));
      const stop = new AbortController();
      const shown = (leases: readonly Lease[]): string[] =>
        leases.map(
          ({ subnet, attrs: { backendData } }) => `${subnet?.address} ${JSON.stringify(backendData).slice(-7, -2)}`,
        );
      const sets: string[][] = [];
      for await (const leases of manager(1).watch(stop.signal)) {
        sets.push(shown(leases));
        if (sets.length === 1) {
          await server.stop();
          await server.restart();
          for (;;) if (await store.put(two, formatLeaseAttrs(attrs(2, 7))).catch(() => undefined)) break;
          await store.delete(three);
          await compact(server, await store.put(four, formatLeaseAttrs(attrs(4))));
        }
        if (sets.at(-1)?.includes("10.5.4.0 00:04")) stop.abort();
      }
      assert.deepEqual(sets[0], ["10.5.1.0 00:01", "10.5.2.0 00:02", "10.5.3.0 00:03"]);
      assert.deepEqual(sets.at(-1), ["10.5.1.0 00:01", "10.5.2.0 07:02", "10.5.4.0 00:04"]);
      assert.ok(sets.every((set) => set.includes(`${own.subnet?.address} 00:01`)));
    });

    test("keys beside <prefix>/subnets/ are nobody's leases, are not counted, and take no subnet", async () => {
      const near = [
        `${PREFIX}/subnets`,
        `${PREFIX}/subnets-note`,
        `${PREFIX}/subnetsx/10.5.2.0-24`,
        `${PREFIX}/ext/10.5.3.0-24`,
      ];
      const lease = await manager().acquire(attrs(1), [parsePrefix("10.5.1.0/24")]);
      const watcher = manager(9);
      const stop = new AbortController();
      let sets = 0;
      for await (const leases of watcher.watch(stop.signal)) {
        assert.deepEqual(leases.map(key), [key(lease), ...(sets > 0 ? [`${DIRECTORY}10.5.4.0-24`] : [])]);
        if (sets++ > 0) break;
        for (const name of near) await store.put(name, "hello");
        await store.put(`${DIRECTORY}10.5.4.0-24`, formatLeaseAttrs(attrs(4)));
      }
      stop.abort();
      assert.equal(watcher.skipped, 0);
      for (const name of near) assert.equal((await store.get(name))?.valueText, "hello");
    });

    test("a node says how many subnets are free, and warns when few are", async () => {
      await store.put(`${PREFIX}/config`, '{"Network":"10.5.0.0/24","SubnetLen":26}');
      await manager(1).acquire(attrs(1));
      await manager(2).acquire(attrs(2));
      await manager(3).acquire(attrs(3));
      const lines = log.lines.filter((line) => line.includes('"of":"3"'));
      assert.deepEqual(
        lines.map((line) => [/"free":"(\d+)"/.exec(line)?.[1], line.includes("few are left")]),
        [
          ["2", false],
          ["1", false],
          ["0", true],
        ],
      );
    });

    test("both families: the previous subnets come back as a pair, or not at all", async () => {
      await store.put(`${PREFIX}/config`, '{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48"}');
      const six = (n: number): LeaseAttrs => ({ ...attrs(n), publicIpv6: parseIpv6(`fd77::${n}`) });
      const previous = [parsePrefix("10.5.200.0/24"), parsePrefix("fd00:0:0:200::/64")];
      const { subnet, ipv6Subnet } = await manager(1).acquire(six(1), previous);
      assert.deepEqual([subnet, ipv6Subnet], previous);
      const half = await manager(2).acquire(six(2), [parsePrefix("10.5.201.0/24"), ...previous.slice(1)]);
      assert.notDeepEqual(half.ipv6Subnet, previous[1]);
      assert.equal(new Set([subnet, half.subnet].map((prefix) => prefix && formatPrefix(prefix))).size, 2);
    });
  });
}
