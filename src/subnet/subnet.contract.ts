// What the subnet manager must do with any store.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { formatLeaseAttrs, formatVxlanBackendData, type LeaseAttrs } from "../formats/flannel/index.ts";
import { formatPrefix, type Prefix, parseIpv4, parseIpv6, parseMac, parsePrefix } from "../formats/netip/index.ts";
import { openEtcdStore, type Store } from "../store/index.ts";
import type { ContractServer } from "../store/testing/contract-server.ts";
import { type Lease, SubnetError, SubnetManager } from "./index.ts";
import { TestLog } from "./testing/log.ts";

const PREFIX = "/coreos.com/network";
const CONFIG = '{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}';

function attrs(node: number, mac = 0): LeaseAttrs {
  const vtepMac = parseMac(`02:00:00:00:${mac.toString(16).padStart(2, "0")}:${node.toString(16).padStart(2, "0")}`);
  const backendData = formatVxlanBackendData({ vni: 1, vtepMac });
  return { publicIp: parseIpv4(`192.168.77.${node}`), backendType: "vxlan", backendData };
}

export function subnetContract(name: string, start: () => Promise<ContractServer>, skip: string | false = false): void {
  describe(`subnet contract: ${name}`, { skip, timeout: 120_000 }, () => {
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
      await store.put(`${PREFIX}/config`, CONFIG);
      log = new TestLog();
    });

    const manager = (node = 1, other: Store = store): SubnetManager =>
      new SubnetManager({ store: other, log, nodeName: `node${node}` });
    const key = (lease: Lease): string =>
      `${PREFIX}/subnets/${lease.subnet ? formatPrefix(lease.subnet).replace("/", "-") : "0.0.0.0-0"}` +
      (lease.ipv6Subnet ? `&${formatPrefix(lease.ipv6Subnet).replace("/", "-")}` : "");
    const subnetKeys = async (): Promise<string[]> =>
      (await store.list(`${PREFIX}/subnets`)).kvs.map((kv) => kv.key.slice(`${PREFIX}/subnets/`.length));
    /** Keeps `lease` while `f` runs. */
    const keeping = async (
      { lease, margin, node }: { lease: Lease; margin?: number; node?: number },
      f: (changed: () => Promise<Lease>) => Promise<void>,
    ): Promise<void> => {
      const stop = new AbortController();
      const changes: Lease[] = [];
      let onChange = (): void => {};
      const kept = manager(node).keep(lease, stop.signal, margin, (changed) => {
        changes.push(changed);
        onChange();
      });
      const changed = async (): Promise<Lease> => {
        for (;;) {
          const next = changes.shift();
          if (next) return next;
          await new Promise<void>((resolve) => {
            onChange = resolve;
          });
        }
      };
      try {
        await f(changed);
      } finally {
        stop.abort();
        await kept;
      }
    };

    test("a new node gets one of the first hundred subnets, as Flannel writes it, for a day", async () => {
      const lease = await manager().acquire(attrs(1));
      assert.match(formatPrefix(lease.subnet ?? parsePrefix("::/0")), /^10\.5\.([1-9][0-9]?|100)\.0\/24$/);
      const kv = await store.get(key(lease));
      assert.equal(
        kv?.valueText,
        '{"PublicIP":"192.168.77.1","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:01"}}',
      );
      const left = await store.timeToLive(kv.lease);
      assert.equal(left?.grantedTtlSeconds, 86_400);
      assert.ok(Math.abs((lease.expiresAt?.getTime() ?? 0) - Date.now() - 86_400_000) < 60_000);
      assert.deepEqual(
        (await store.list(PREFIX)).kvs.map((each) => each.key),
        [`${PREFIX}/config`, key(lease)],
      );
    });

    test("a node that comes back gets the same subnet by its public IP, with a new day to live", async () => {
      const first = await manager().acquire(attrs(1));
      const before = await store.get(key(first));
      const second = await manager().acquire(attrs(1), [parsePrefix("10.5.200.0/24")]);
      assert.deepEqual(second.subnet, first.subnet);
      const after = await store.get(key(second));
      assert.equal(after?.createRevision, before?.createRevision);
      assert.notEqual(after?.lease, before?.lease);
    });

    test("a node whose MAC has changed deletes its lease and makes it anew, for Flannel's peers' sake", async () => {
      const first = await manager().acquire(attrs(1));
      const { createRevision = 0n } = (await store.get(key(first))) ?? {};
      const second = await manager().acquire(attrs(1, 7));
      assert.deepEqual(second.subnet, first.subnet);
      const kv = await store.get(key(second));
      assert.ok((kv?.createRevision ?? 0n) > createRevision);
      assert.equal(kv?.valueText, formatLeaseAttrs(attrs(1, 7)));
    });

    test("a node without a lease gets its previous subnet if that is free and allowed", async () => {
      const previous = [parsePrefix("10.5.222.0/24")];
      assert.deepEqual((await manager(1).acquire(attrs(1), previous)).subnet, previous[0]);
      assert.notDeepEqual((await manager(2).acquire(attrs(2), previous)).subnet, previous[0]);
      for (const bad of ["10.5.0.0/24", "10.6.1.0/24", "10.5.9.0/25", "fd00::/64"])
        assert.notDeepEqual((await manager(3).acquire(attrs(3), [parsePrefix(bad)])).subnet, parsePrefix(bad));
    });

    test("a lease that the config no longer allows is given up for one that it allows", async () => {
      const first = await manager().acquire(attrs(1));
      await store.put(
        `${PREFIX}/config`,
        '{"Network":"10.5.0.0/16","SubnetMin":"10.5.240.0","SubnetMax":"10.5.243.0"}',
      );
      const second = await manager().acquire(attrs(1), first.subnet ? [first.subnet] : []);
      assert.match(formatPrefix(second.subnet ?? parsePrefix("::/0")), /^10\.5\.24[0-3]\.0\/24$/);
      assert.equal(await store.get(key(first)), undefined);
    });

    test("a reservation is taken up and stays one", async () => {
      const reserved = `${PREFIX}/subnets/10.5.77.0-24`;
      await store.put(reserved, '{"PublicIP":"192.168.77.1","PublicIPv6":null}');
      const lease = await manager().acquire(attrs(1));
      assert.deepEqual(lease.subnet, parsePrefix("10.5.77.0/24"));
      assert.equal(lease.expiresAt, undefined);
      const kv = await store.get(reserved);
      assert.deepEqual([kv?.lease, kv?.valueText], [0n, formatLeaseAttrs(attrs(1))]);
      await manager().acquire(attrs(1));
      assert.equal((await store.get(reserved))?.lease, 0n);
      assert.notDeepEqual((await manager(2).acquire(attrs(2), [parsePrefix("10.5.77.0/24")])).subnet, lease.subnet);
    });

    test("many nodes at once, all with the same previous subnet, get each one of its own", async () => {
      const stores = await Promise.all([1, 2, 3].map(() => openEtcdStore({ endpoints: server.endpoints })));
      try {
        const previous = [parsePrefix("10.5.50.0/24")];
        const leases = await Promise.all(
          Array.from({ length: 12 }, (_, i) => manager(i + 1, stores[i % 3]).acquire(attrs(i + 1), previous)),
        );
        const names = leases.map((lease) => key(lease));
        assert.equal(new Set(names).size, 12);
        assert.ok(names.includes(`${PREFIX}/subnets/10.5.50.0-24`));
        assert.deepEqual((await subnetKeys()).length, 12);
      } finally {
        for (const other of stores) await other[Symbol.asyncDispose]();
      }
    });

    test("when all subnets are taken, the error says how many there are, that none is free, and what to do", async () => {
      await store.put(`${PREFIX}/config`, '{"Network":"10.5.0.0/28"}');
      const leases = await Promise.all([1, 2, 3].map((node) => manager(node).acquire(attrs(node))));
      assert.deepEqual(leases.map(key).sort(), ["4", "8", "12"].map((n) => `${PREFIX}/subnets/10.5.0.${n}-30`).sort());
      await assert.rejects(manager(4).acquire(attrs(4)), (error) => {
        assert.ok(error instanceof SubnetError && error.reason === "exhausted");
        assert.match(
          error.message,
          /^Cannot acquire a subnet of 10\.5\.0\.0\/28 for 192\.168\.77\.4: 0 of 3 subnets from 10\.5\.0\.4\/30 to 10\.5\.0\.12\/30 are free, 3 leases hold them; delete [^\n]*$/,
        );
        return true;
      });
      assert.equal((await subnetKeys()).length, 3);
    });

    test("a second live node with the same public IP is refused; the same node after a restart is not", async () => {
      const lease = await manager(1).acquire(attrs(1));
      await assert.rejects(manager(2).acquire(attrs(1, 9)), (error) => {
        assert.ok(error instanceof SubnetError && error.reason === "duplicate");
        assert.match(
          error.message,
          /"node2" with the public IP 192\.168\.77\.1: another live node has it.*node1.*--public-ip/,
        );
        return true;
      });
      assert.equal((await store.get(key(lease)))?.valueText, formatLeaseAttrs(attrs(1)));
      assert.deepEqual((await manager(1).acquire(attrs(1))).subnet, lease.subnet);
    });

    test("a key whose value cannot be read is no lease, and its subnet is not free either", async () => {
      await store.put(`${PREFIX}/config`, '{"Network":"10.5.0.0/24","SubnetLen":26}');
      for (const last of [0, 64, 128, 192])
        await store.put(`${PREFIX}/subnets/10.5.0.${last}-26`, '{"PublicIP":"192.0.2.999"}');
      await assert.rejects(manager().acquire(attrs(1)), /0 of 3 subnets .* are free/);
      await store.delete(`${PREFIX}/subnets/10.5.0.128-26`);
      const { subnet } = await manager().acquire(attrs(1));
      assert.equal(subnet?.address, "10.5.0.128");
    });

    test("without a config, or without an address of a family that it enables, the error says what to do", async () => {
      await store.put(`${PREFIX}/config`, '{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48"}');
      await assert.rejects(manager().acquire(attrs(1)), /no public IPv6 address; give it one/);
      await store.put(`${PREFIX}/config`, '{"Network":"10.5.0.0/29"}');
      await assert.rejects(manager().acquire(attrs(1)), /Network 10\.5\.0\.0\/29 is too small/);
      await store.delete(`${PREFIX}/config`);
      await assert.rejects(manager().acquire(attrs(1)), /without the network config: put it with etcdctl put/);
      assert.deepEqual(await subnetKeys(), []);
    });

    test("networkConfig() waits until there is one", async () => {
      await store.delete(`${PREFIX}/config`);
      const waiting = manager().networkConfig(new AbortController().signal);
      await log.waitFor(/waiting for the network config/);
      await store.put(`${PREFIX}/config`, CONFIG);
      assert.equal((await waiting).backendType, "vxlan");
      const stop = new AbortController();
      await store.delete(`${PREFIX}/config`);
      const aborted = manager().networkConfig(stop.signal);
      stop.abort();
      await assert.rejects(aborted, { name: "AbortError" });
    });

    test("both families, and IPv6 alone: one key, and no node takes another's", async () => {
      const six = (node: number): LeaseAttrs => ({ ...attrs(node), publicIpv6: parseIpv6(`fd77::${node}`) });
      await store.put(`${PREFIX}/config`, '{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48"}');
      const dual = await Promise.all([1, 2].map((node) => manager(node).acquire(six(node))));
      for (const lease of dual) assert.match(key(lease), /subnets\/10\.5\.\d+\.0-24&fd00:0:0:[0-9a-f]+::-64$/);
      assert.deepEqual((await manager(1).acquire(six(1))).ipv6Subnet, dual[0]?.ipv6Subnet);
      await store.deletePrefix(`${PREFIX}/subnets/`);
      await store.put(`${PREFIX}/config`, '{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00::/48"}');
      const alone = await Promise.all([1, 2, 3].map((node) => manager(node).acquire(six(node))));
      assert.equal(new Set(alone.map(key)).size, 3);
      assert.equal(alone[0]?.attrs.publicIp, "0.0.0.0");
      assert.deepEqual((await manager(2).acquire(six(2))).ipv6Subnet, alone[1]?.ipv6Subnet);
    });

    test("a subnet that overlaps with an older lease of another key is not kept", async () => {
      // A wide lease of somebody else: every single key is free.
      await store.put(`${PREFIX}/config`, '{"Network":"10.5.0.0/22"}');
      await store.put(`${PREFIX}/subnets/10.5.0.0-23`, formatLeaseAttrs(attrs(9)));
      const lease = await manager(1).acquire(attrs(1), [parsePrefix("10.5.1.0/24")]);
      assert.ok(["10.5.2.0/24", "10.5.3.0/24"].includes(formatPrefix(lease.subnet ?? parsePrefix("::/0"))));
    });

    test("keep() takes the same subnet again when the lease is lost", async () => {
      const lease = await manager().acquire(attrs(1));
      await keeping({ lease }, async (changed) => {
        await store.delete(key(lease));
        assert.deepEqual((await changed()).subnet, lease.subnet);
        const kv = await store.get(key(lease));
        assert.equal(kv?.valueText, formatLeaseAttrs(attrs(1)));
        assert.notEqual(kv.lease, 0n);
      });
    });

    test("keep() renews before the end, by a new lease, if nobody has changed the key", async () => {
      const lease = await manager().acquire(attrs(1));
      const short = await store.grant(4);
      await store.put(key(lease), formatLeaseAttrs(attrs(1)), { lease: short });
      await keeping({ lease, margin: 60 * 60 * 1000 }, async (changed) => {
        assert.ok(((await changed()).expiresAt?.getTime() ?? 0) > Date.now() + 86_000_000);
        const kv = await store.get(key(lease));
        assert.ok(kv && kv.lease !== short && kv.lease !== 0n);
        await store.revoke(short);
        assert.ok(await store.get(key(lease)));
      });
    });

    test("keep() leaves a reservation one, and leaves a subnet that another node has taken to it", async () => {
      const lease = await manager().acquire(attrs(1));
      await keeping({ lease }, async (changed) => {
        const revision = await store.put(key(lease), formatLeaseAttrs(attrs(1)));
        await store.put(key(lease), formatLeaseAttrs(attrs(2)));
        await log.waitFor(/another node has taken this node's subnet/);
        const kv = await store.get(key(lease));
        assert.equal(kv?.modRevision, revision + 1n);
        await store.delete(key(lease));
        await changed();
        assert.equal((await store.get(key(lease)))?.valueText, formatLeaseAttrs(attrs(1)));
      });
    });

    test("keep() puts its own back over what nobody can read", async () => {
      const lease = await manager().acquire(attrs(1));
      await keeping({ lease }, async (changed) => {
        await store.put(key(lease), "hello");
        await changed();
        assert.equal((await store.get(key(lease)))?.valueText, formatLeaseAttrs(attrs(1)));
      });
    });

    test("keep() goes on when the store has been away, and takes back what went meanwhile", async () => {
      const lease = await manager().acquire(attrs(1));
      await keeping({ lease }, async (changed) => {
        await server.restart();
        for (;;) if (await store.delete(key(lease)).catch(() => false)) break;
        assert.deepEqual((await changed()).subnet, lease.subnet);
      });
    });

    test("watch() gives the whole set each time; what is bad is skipped, counted and told once", async () => {
      const first = await manager(1).acquire(attrs(1), [parsePrefix("10.5.1.0/24")]);
      const bad = {
        note: "hello",
        "10.5.2.0-33": formatLeaseAttrs(attrs(2)),
        "10.5.3.0-24": "{broken",
        "10.5.4.0-24": '{"PublicIP":"none"}',
        "192.168.77.0-24": formatLeaseAttrs(attrs(4)),
        "10.5.0.0-16": formatLeaseAttrs(attrs(5)),
        "10.5.1.128-25": formatLeaseAttrs(attrs(6)),
      };
      for (const [name, value] of Object.entries(bad)) await store.put(`${PREFIX}/subnets/${name}`, value);
      const watcher = manager(9);
      await watcher.networkConfig(AbortSignal.timeout(10_000));
      const stop = new AbortController();
      const sets: string[][] = [];
      const six = `${PREFIX}/subnets/10.5.6.0-24`;
      // What is done after each set; the last of each is what makes the next one.
      const steps: (() => Promise<unknown>)[][] = [
        [
          // A bad value over a good lease changes nothing, nor does one that is renewed.
          () => store.put(key(first), "hello"),
          () => store.put(key(first), formatLeaseAttrs(attrs(1))),
          () => store.put(six, formatLeaseAttrs(attrs(6))),
        ],
        [() => store.put(six, formatLeaseAttrs(attrs(6, 1)))],
        [() => store.delete(`${PREFIX}/subnets/10.5.1.128-25`), () => store.delete(key(first))],
        [() => store.delete(`${PREFIX}/subnets/note`), () => store.delete(six)],
      ];
      for await (const leases of watcher.watch(stop.signal)) {
        sets.push(
          leases.map((lease) => `${lease.subnet?.address} ${JSON.stringify(lease.attrs.backendData).slice(-6, -2)}`),
        );
        const next = steps.shift();
        if (!next) stop.abort();
        for (const step of next ?? []) await step();
      }
      assert.deepEqual(sets, [
        ["10.5.1.0 0:01"],
        ["10.5.1.0 0:01", "10.5.6.0 0:06"],
        ["10.5.1.0 0:01", "10.5.6.0 1:06"],
        ["10.5.6.0 1:06"],
        [],
      ]);
      assert.equal(watcher.skipped, Object.keys(bad).length + 1);
      assert.equal(log.lines.filter((line) => /skipping/.test(line)).length, Object.keys(bad).length + 1);
      assert.ok(log.lines.some((line) => /192\.168\.77\.0-24.*no part of the network/.test(line)));
      assert.ok(log.lines.some((line) => /10\.5\.1\.128-25.*overlaps with the older/.test(line)));
    });

    test("watch() says nothing while the store is away, then what has changed", async () => {
      const leases = await Promise.all([1, 2].map((node) => manager(node).acquire(attrs(node))));
      const stop = new AbortController();
      const sets: (readonly Lease[])[] = [];
      for await (const set of manager(9).watch(stop.signal)) {
        sets.push(set);
        if (sets.length === 1) {
          await server.restart();
          for (;;) if (await store.delete(key(leases[0] as Lease)).catch(() => false)) break;
        } else stop.abort();
      }
      assert.deepEqual(
        sets.map((set) => set.length),
        [2, 1],
      );
    });

    test("nothing but leases was ever written under subnets, and everything else of ours is elsewhere", async () => {
      const previous: Prefix[] = [];
      for (const node of [1, 2, 3]) await manager(node).acquire(attrs(node), previous);
      for (const name of await subnetKeys()) assert.match(name, /^10\.5\.\d+\.0-24$/);
      const outside = (await store.list("")).kvs.map((kv) => kv.key).filter((each) => !each.startsWith(`${PREFIX}/`));
      assert.ok(outside.length > 0 && outside.every((each) => each.startsWith("/podpath/nodes/coreos.com/network/")));
    });
  });
}
