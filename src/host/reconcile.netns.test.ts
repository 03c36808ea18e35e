import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, describe, it } from "node:test";
import { localMac, type MacAddress, parseIp, parsePrefix } from "../formats/netip/index.ts";
import {
  deleteAddress,
  newAddress,
  newFdb,
  newLink,
  newNeighbour,
  newRoute,
  setLink,
} from "../formats/netlink/index.ts";
import { createUnnamedNetNs, inNs, type NetNs, Rtnl, writeSysctl } from "../kernel/index.ts";
import { listHost, plan, reconcile, type WantedPeer, type WantedState } from "./index.ts";

const isRoot = process.getuid?.() === 0;
const skip = isRoot ? false : "needs root: it makes network namespaces";

const open: Disposable[] = [];
after(() => {
  for (const one of open.reverse()) one[Symbol.dispose]();
});

interface Node {
  readonly ns: NetNs;
  readonly rtnl: Rtnl;
  readonly eth0: number;
  readonly flannel: number;
  ip(args: string): Record<string, unknown>[];
}

/** A namespace with an eth0 and a flannel.1 that is down. */
function node(): Node {
  const ns = createUnnamedNetNs();
  const rtnl = Rtnl.open(ns);
  open.push(ns, rtnl);
  rtnl.execute(newLink({ name: "eth0", kind: { kind: "veth", peer: { name: "wire" } } }));
  const eth0 = indexOf(rtnl, "eth0");
  rtnl.execute([
    setLink({ name: "wire", isUp: true }),
    setLink({ index: eth0, isUp: true }),
    newAddress({ index: eth0, prefix: parsePrefix("192.168.100.11/24") }),
    newLink({
      name: "flannel.1",
      kind: { kind: "vxlan", id: 1, link: eth0, local: parseIp("192.168.100.11"), port: 8472, learning: false },
    }),
  ]);
  const ip = (args: string): Record<string, unknown>[] => {
    const [program = "ip", ...rest] = args.startsWith("bridge ") ? args.split(" ") : ["ip", "-j", ...args.split(" ")];
    const { stdout, stderr, status } = inNs(ns, () => spawnSync(program, rest, { encoding: "utf8" }));
    assert.equal(status, 0, `${args}: ${stderr}`);
    return stdout.startsWith("[") ? JSON.parse(stdout) : [];
  };
  return { ns, rtnl, eth0, flannel: indexOf(rtnl, "flannel.1"), ip };
}

function indexOf(rtnl: Rtnl, name: string): number {
  const link = rtnl.link(name);
  assert.ok(link);
  return link.index;
}

function mac(n: number): MacAddress {
  return localMac(Uint8Array.of(2, 0, 0, 0, n >> 8, n & 0xff));
}

function peer(index: number, n: number): WantedPeer {
  const dst = parsePrefix(`10.${244 + (n >> 8)}.${n & 0xff}.0/24`);
  return {
    key: `10.244.${n}.0/24`,
    neighbours: [{ index, address: dst.address, lladdr: mac(n) }],
    fdb: [{ index, lladdr: mac(n), dst: parseIp(`192.168.${100 + (n >> 8)}.${n & 0xff}`) }],
    routes: [{ dst, gateway: dst.address, oif: index, onlink: true }],
  };
}

function wantedOf(index: number, peers: readonly WantedPeer[]): WantedState {
  return {
    devices: [{ index, name: "flannel.1", addresses: [parsePrefix("10.244.1.0/32")] }],
    peers,
    ranges: [parsePrefix("10.244.0.0/14")],
  };
}

describe("reconcile() against the kernel", { skip }, () => {
  it("makes what Flannel makes, and a second time nothing", async () => {
    const { rtnl, flannel, ip } = node();
    const wanted = wantedOf(flannel, [peer(flannel, 2)]);
    const report = await reconcile(rtnl, wanted);
    assert.deepEqual([report.failures, report.conflicts, report.applied.length], [[], [], 5]);
    assert.deepEqual(
      ip("route show dev flannel.1").map((r) => [r.dst, r.gateway, r.flags, r.protocol]),
      [["10.244.2.0/24", "10.244.2.0", ["onlink"], "112"]],
    );
    assert.deepEqual(
      ip("neigh show dev flannel.1").map((n) => [n.dst, n.lladdr, n.state]),
      [["10.244.2.0", mac(2), ["PERMANENT"]]],
    );
    const [fdb] = ip("bridge -j fdb show dev flannel.1");
    assert.deepEqual([fdb?.mac, fdb?.dst, fdb?.flags, fdb?.state], [mac(2), "192.168.100.2", ["self"], "permanent"]);
    assert.deepEqual(plan(listHost(rtnl), wanted), { steps: [], conflicts: [] });
  });

  it("repairs every single thing that went, and removes every peer that went", async () => {
    const { rtnl, flannel, ip } = node();
    const wanted = wantedOf(flannel, [peer(flannel, 2), peer(flannel, 3)]);
    await reconcile(rtnl, wanted);
    for (const damage of [
      "route del 10.244.2.0/24",
      "neigh del 10.244.3.0 dev flannel.1",
      `bridge fdb del ${mac(2)} dev flannel.1 dst 192.168.100.2`,
      `bridge fdb replace ${mac(3)} dev flannel.1 dst 192.168.100.99`,
      "addr flush dev flannel.1",
      "link set flannel.1 down",
      "route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink",
      `neigh replace 10.244.2.0 lladdr ${mac(9)} dev flannel.1 nud reachable`,
      "addr add 10.244.1.1/24 dev flannel.1",
    ]) {
      ip(damage);
      assert.notDeepEqual(plan(listHost(rtnl), wanted).steps, [], damage);
      const { failures } = await reconcile(rtnl, wanted);
      assert.deepEqual(failures, [], damage);
      assert.deepEqual(plan(listHost(rtnl), wanted), { steps: [], conflicts: [] }, damage);
    }
    await reconcile(rtnl, wantedOf(flannel, [peer(flannel, 3)]));
    const { routes, fdb, neighbours } = listHost(rtnl);
    assert.deepEqual(
      routes.filter((r) => r.oif === flannel && r.family === 4).map((r) => r.dst?.address),
      ["10.244.3.0"],
    );
    assert.deepEqual(
      [fdb.map((f) => f.lladdr).includes(mac(2)), fdb.map((f) => f.lladdr).includes(mac(3))],
      [false, true],
    );
    assert.deepEqual(
      neighbours.filter((n) => n.index === flannel && n.family === 4).map((n) => n.address),
      ["10.244.3.0"],
    );
  });

  it("leaves what is not ours: routes, neighbours and FDB entries of other devices, other protocols' routes", async () => {
    const { rtnl, flannel, eth0, ip } = node();
    const gateway = parseIp("192.168.100.1");
    rtnl.execute([
      newRoute({ family: 4, gateway, oif: eth0 }),
      newRoute({ family: 4, dst: parsePrefix("10.244.9.0/24"), gateway, oif: eth0, protocol: 4 }),
      newRoute({ family: 4, dst: parsePrefix("10.244.8.0/24"), gateway, oif: eth0, protocol: 4 }),
      newNeighbour({ index: eth0, address: gateway, lladdr: mac(77) }),
      newFdb({ index: flannel, lladdr: localMac(Uint8Array.of(0, 0, 0, 0, 0, 1)), dst: gateway, state: 2 }),
    ]);
    const before = ip("route show dev eth0");
    const wanted = wantedOf(flannel, [peer(flannel, 2), peer(flannel, 9)]);
    const { conflicts } = await reconcile(rtnl, wanted);
    assert.deepEqual(
      conflicts.map((conflict) => conflict.of),
      ["peer 10.244.9.0/24"],
    );
    await reconcile(rtnl, wantedOf(flannel, []));
    assert.deepEqual(ip("route show dev eth0"), before);
    assert.equal(ip("neigh show dev eth0").length, 1);
    assert.equal(rtnl.fdb(flannel).length, 1);
  });

  it("fails one peer and programs all others", async () => {
    const { rtnl, flannel } = node();
    const peers = Array.from({ length: 150 }, (_, i) => peer(flannel, i + 2));
    const bad: WantedPeer = { ...peer(flannel, 70), routes: [{ ...peer(flannel, 70).routes[0], oif: 4711 }] as never };
    const { failures } = await reconcile(rtnl, wantedOf(flannel, peers.with(68, bad)));
    assert.deepEqual(
      failures.map((failure) => failure.of),
      ["peer 10.244.70.0/24"],
    );
    assert.match(String(failures[0]?.error), /10\.244\.70\.0\/24/);
    assert.equal(rtnl.routes({ protocol: 112 }).length, 149);
    const { applied } = await reconcile(rtnl, wantedOf(flannel, peers));
    assert.equal(applied.length, 1);
  });

  describe("with nexthop objects", () => {
    const planning = { nexthopsFrom: 1 };
    const ours = (rtnl: Rtnl): string[] =>
      rtnl.nexthops().flatMap(({ id, protocol, gateway }) => (protocol === 112 ? [`${id} ${gateway}`] : []));
    const settled = { steps: [], conflicts: [] };

    it("shows the same way in ip route, finds nothing left to do, and takes the objects away with the peers", async () => {
      const { rtnl, flannel, ip } = node();
      const wanted = wantedOf(flannel, [peer(flannel, 2), peer(flannel, 3)]);
      assert.deepEqual((await reconcile(rtnl, wanted, { planning })).failures, []);
      const [first] = ip("route show dev flannel.1");
      assert.deepEqual(
        [first?.dst, first?.gateway, first?.flags, first?.protocol, typeof first?.nhid],
        ["10.244.2.0/24", "10.244.2.0", ["onlink"], "112", "number"],
      );
      assert.deepEqual(plan(listHost(rtnl), wanted, planning), settled);
      assert.deepEqual(plan(listHost(rtnl), wanted), settled, "fewer peers than it pays for change nothing");
      const before = ours(rtnl);
      assert.equal(before.length, 2);
      await reconcile(rtnl, wantedOf(flannel, [peer(flannel, 3)]), { planning });
      assert.deepEqual(ours(rtnl), before.slice(1));
      await reconcile(rtnl, wantedOf(flannel, []), { planning });
      assert.deepEqual([ours(rtnl), rtnl.routes({ protocol: 112 })], [[], []]);
    });

    it("repairs whatever somebody does to the objects and their routes", async () => {
      const { rtnl, flannel, ip } = node();
      const wanted = wantedOf(flannel, [peer(flannel, 2), peer(flannel, 3)]);
      await reconcile(rtnl, wanted, { planning });
      const idOf = (subnet: number): number =>
        rtnl.routes({ protocol: 112 }).find((r) => r.dst?.address === `10.244.${subnet}.0`)?.nexthopId ?? 0;
      for (const damage of [
        () => `nexthop del id ${idOf(2)}`,
        () => "nexthop flush",
        () => `nexthop replace id ${idOf(3)} via 192.168.100.77 dev eth0`,
        () => "route del 10.244.2.0/24",
        () => "route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink",
        () => "addr flush dev flannel.1",
        () => "link set flannel.1 down",
        () => "link set eth0 down",
      ]) {
        ip(damage());
        if (damage().includes("eth0 down")) ip("link set eth0 up");
        const { failures, conflicts } = await reconcile(rtnl, wanted, { planning });
        assert.deepEqual([failures, conflicts], [[], []], damage());
        assert.deepEqual(plan(listHost(rtnl), wanted, planning), settled, damage());
        const ways = rtnl.routes({ protocol: 112 }).map((r) => `${r.gateway} ${r.oif} ${r.onlink}`);
        assert.deepEqual(ways, [`10.244.2.0 ${flannel} true`, `10.244.3.0 ${flannel} true`], damage());
      }
    });

    it("knows a route's way where the kernel tells the object's id alone", async () => {
      const { rtnl, flannel, ns } = node();
      const wanted = wantedOf(flannel, [peer(flannel, 2)]);
      await reconcile(rtnl, wanted, { planning });
      writeSysctl("net/ipv4/nexthop_compat_mode", 0, ns);
      assert.deepEqual(
        rtnl.routes({ protocol: 112 }).map((r) => [r.gateway, typeof r.nexthopId]),
        [[undefined, "number"]],
      );
      assert.deepEqual(plan(listHost(rtnl), wanted, planning), settled);
    });

    it("turns plain routes into others only when they are wrong, and back in the same way", async () => {
      const { rtnl, flannel, ip } = node();
      const wanted = wantedOf(flannel, [peer(flannel, 2), peer(flannel, 3)]);
      await reconcile(rtnl, wanted);
      assert.deepEqual((await reconcile(rtnl, wanted, { planning })).applied, []);
      ip("route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink");
      await reconcile(rtnl, wanted, { planning });
      const isNamed = (): boolean[] => rtnl.routes({ protocol: 112 }).map((r) => r.nexthopId !== undefined);
      assert.deepEqual(isNamed(), [true, false]);
      ip("nexthop flush protocol 112");
      ip("route flush proto 112");
      await reconcile(rtnl, wanted);
      assert.deepEqual([isNamed(), ours(rtnl)], [[false, false], []]);
    });

    it("leaves foreign objects, and an object of ours that a foreign route or group names", async () => {
      const { rtnl, flannel, ip } = node();
      const wanted = wantedOf(flannel, [peer(flannel, 2)]);
      ip("nexthop add id 1885601792 via 192.168.100.1 dev eth0");
      await reconcile(rtnl, wanted, { planning });
      const id = rtnl.routes({ protocol: 112 })[0]?.nexthopId;
      assert.equal(id, 1885601793);
      ip(`route add 172.16.0.0/24 nhid ${id}`);
      await reconcile(rtnl, wantedOf(flannel, []), { planning });
      assert.deepEqual(ip("route show 172.16.0.0/24").length, 1);
      assert.deepEqual(
        rtnl.nexthops().map((nexthop) => nexthop.id),
        [1885601792, id],
      );
      ip("route del 172.16.0.0/24");
      await reconcile(rtnl, wantedOf(flannel, []), { planning });
      assert.deepEqual(
        rtnl.nexthops().map((nexthop) => nexthop.id),
        [1885601792],
      );
    });

    it("programs thousands of peers in time that grows with their number, not its square", async () => {
      const { rtnl, flannel } = node();
      const peers = Array.from({ length: 3000 }, (_, i) => peer(flannel, i + 2));
      const wanted = wantedOf(flannel, peers);
      assert.deepEqual((await reconcile(rtnl, wanted)).failures, []);
      assert.deepEqual([ours(rtnl).length, rtnl.routes({ protocol: 112 }).length], [3000, 3000]);
      assert.deepEqual(plan(listHost(rtnl), wanted), settled);
    });
  });

  it("does the same for IPv6", async () => {
    const { rtnl, flannel, ip } = node();
    const dst = parsePrefix("2001:cafe:42:2::/64");
    const wanted: WantedState = {
      devices: [{ index: flannel, name: "flannel.1", addresses: [parsePrefix("2001:cafe:42:1::/128")] }],
      ranges: [parsePrefix("2001:cafe:42::/48")],
      peers: [
        {
          key: "2001:cafe:42:2::/64",
          neighbours: [{ index: flannel, address: dst.address, lladdr: mac(2) }],
          fdb: [{ index: flannel, lladdr: mac(2), dst: parseIp("192.168.100.2") }],
          routes: [{ dst, gateway: dst.address, oif: flannel, onlink: true }],
        },
      ],
    };
    assert.deepEqual((await reconcile(rtnl, wanted)).failures, []);
    assert.deepEqual(
      ip("-6 route show proto 112").map((r) => [r.dst, r.gateway, r.flags]),
      [["2001:cafe:42:2::/64", "2001:cafe:42:2::", ["onlink"]]],
    );
    assert.deepEqual(plan(listHost(rtnl), wanted), { steps: [], conflicts: [] });
    await reconcile(rtnl, { ...wanted, peers: [] });
    assert.deepEqual(ip("-6 route show proto 112"), []);
  });

  it("drops what goes to this node's own subnet, in both families, and lets a connected route win", async () => {
    const { rtnl, eth0, flannel, ip } = node();
    const blackholes = [parsePrefix("10.244.1.0/24"), parsePrefix("2001:cafe:42:1::/64")];
    const ranges = [parsePrefix("10.244.0.0/16"), parsePrefix("2001:cafe:42::/48")];
    const wanted: WantedState = {
      devices: [{ index: flannel, name: "flannel.1", addresses: [] }],
      peers: [],
      ranges,
      blackholes,
    };
    assert.deepEqual((await reconcile(rtnl, wanted)).failures, []);
    assert.deepEqual(plan(listHost(rtnl), wanted), { steps: [], conflicts: [] });
    const drops = (family: string): unknown[] =>
      ip(`${family} route show type blackhole proto 112`).map((r) => [r.dst, r.metric]);
    assert.deepEqual(drops("-4"), [["10.244.1.0/24", 4278198272]]);
    assert.deepEqual(drops("-6"), [["2001:cafe:42:1::/64", 4278198272]]);
    // The bridge comes after the drop, as it does on a fresh node.
    rtnl.execute(newAddress({ index: eth0, prefix: parsePrefix("10.244.1.1/24") }));
    assert.equal(ip("route get 10.244.1.7")[0]?.dev, "eth0");
    rtnl.execute(deleteAddress({ index: eth0, prefix: parsePrefix("10.244.1.1/24") }));
    await reconcile(rtnl, { ...wanted, blackholes: [] });
    assert.deepEqual([drops("-4"), drops("-6")], [[], []]);
  });
});
