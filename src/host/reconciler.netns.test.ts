import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { localMac, type MacAddress, parseIp, parsePrefix } from "../formats/netip/index.ts";
import { deleteRoute, newAddress, newLink, newRoute, setLink } from "../formats/netlink/index.ts";
import { createUnnamedNetNs, type NetNs, Rtnl, watchRtnl } from "../kernel/index.ts";
import { listHost, plan, Reconciler, type WantedPeer, type WantedState } from "./index.ts";

const skip = process.getuid?.() === 0 ? false : "needs root: it makes network namespaces";
const open: Disposable[] = [];
after(() => {
  for (const one of open.reverse()) one[Symbol.dispose]();
});

/** A namespace with flannel.1, whose announcements are heard, and how many of its objects were listed. */
function node(): { rtnl: Rtnl; flannel: number; reconciler: Reconciler; news: () => number; listings: () => number } {
  const ns: NetNs = createUnnamedNetNs();
  const rtnl = Rtnl.open(ns);
  open.push(ns, rtnl);
  rtnl.execute(newLink({ name: "eth0", kind: { kind: "veth", peer: { name: "wire" } }, isUp: true }));
  const eth0 = rtnl.link("eth0")?.index ?? 0;
  const local = parseIp("192.168.100.11");
  rtnl.execute([
    setLink({ name: "wire", isUp: true }),
    newAddress({ index: eth0, prefix: parsePrefix("192.168.100.11/24") }),
    newLink({ name: "flannel.1", kind: { kind: "vxlan", id: 1, link: eth0, local, port: 8472, learning: false } }),
  ]);
  let listings = 0;
  const counting = new Proxy(rtnl, {
    get: (target, name) => {
      if (name === "routes") listings++;
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const reconciler = new Reconciler(counting);
  let news = 0;
  open.push(
    watchRtnl(
      ns,
      (event) => {
        if (reconciler.knows(event)) return;
        news++;
        reconciler.distrust();
      },
      () => reconciler.distrust(),
      { families: [4] },
    ),
  );
  return { rtnl, flannel: rtnl.link("flannel.1")?.index ?? 0, reconciler, news: () => news, listings: () => listings };
}

const mac = (n: number): MacAddress => localMac(Uint8Array.of(2, 0, 0, 0, n >> 8, n & 0xff));

function peer(
  index: number,
  n: number,
  { macOf = n, node: at = n }: { macOf?: number; node?: number } = {},
): WantedPeer {
  const dst = parsePrefix(`10.244.${n}.0/24`);
  return {
    key: `10.244.${n}.0/24`,
    neighbours: [{ index, address: dst.address, lladdr: mac(macOf) }],
    fdb: [{ index, lladdr: mac(macOf), dst: parseIp(`192.168.100.${at}`) }],
    routes: [{ dst, gateway: dst.address, oif: index, onlink: true }],
  };
}

function wantedOf(index: number, peers: readonly WantedPeer[]): WantedState {
  return {
    devices: [{ index, name: "flannel.1", addresses: [parsePrefix("10.244.1.0/32")] }],
    peers,
    ranges: [parsePrefix("10.244.0.0/16")],
  };
}

const SETTLED = { steps: [], conflicts: [] };
/** Long enough for what was announced to be read. */
const heard = (): Promise<void> => sleep(20);

describe("Reconciler", { skip }, () => {
  it("lists once, then programs what is new, changed or gone by what it knows, and hears nothing new in it", async () => {
    const { rtnl, flannel, reconciler, news, listings } = node();
    const [p2, p3] = [peer(flannel, 2), peer(flannel, 3)];
    await reconciler.reconcile(wantedOf(flannel, [p2]));
    await heard();
    await reconciler.reconcile(wantedOf(flannel, [p2]));
    await heard();
    const [newsBefore, listingsBefore] = [news(), listings()];
    const moved = peer(flannel, 3, { node: 33, macOf: 34 });
    for (const [peers, changes] of [
      [[p2, p3], 3],
      [[p2, moved], 3],
      [[p2, moved], 0],
      [[moved], 3],
      [[], 3],
      [[p2, p3], 6],
    ] as const) {
      const { applied, failures } = await reconciler.reconcile(wantedOf(flannel, peers));
      assert.deepEqual([applied.length, failures], [changes, []]);
      assert.deepEqual(plan(listHost(rtnl), wantedOf(flannel, peers)), SETTLED);
      await heard();
    }
    assert.deepEqual([news(), listings()], [newsBefore, listingsBefore]);
  });

  it("hears of what somebody else does, and looks at everything again", async () => {
    const { rtnl, flannel, reconciler } = node();
    const wanted = wantedOf(flannel, [peer(flannel, 2), peer(flannel, 3)]);
    await reconciler.reconcile(wanted);
    rtnl.execute(deleteRoute({ family: 4, dst: parsePrefix("10.244.2.0/24") }));
    await heard();
    assert.equal((await reconciler.reconcile(wanted)).applied.length, 1);
    assert.deepEqual(plan(listHost(rtnl), wanted), SETTLED);
  });

  it("keeps a peer in mind that cannot be, and programs it when it can, and others meanwhile", async () => {
    const { rtnl, flannel, reconciler } = node();
    const eth0 = rtnl.link("eth0")?.index ?? 0;
    const foreign = { family: 4, dst: parsePrefix("10.244.2.0/24"), gateway: parseIp("192.168.100.9") } as const;
    rtnl.execute(newRoute({ ...foreign, oif: eth0, protocol: 4 }));
    const [p2, p3, p4] = [peer(flannel, 2), peer(flannel, 3), peer(flannel, 4)];
    // The gateway is nobody's: the kernel refuses it.
    const bad: WantedPeer = { ...p4, routes: [{ ...(p4.routes[0] as never as object), oif: 4711 } as never] };
    const first = await reconciler.reconcile(wantedOf(flannel, [p2, bad]));
    assert.deepEqual([first.conflicts.length, first.failures.length], [1, 1]);
    const second = await reconciler.reconcile(wantedOf(flannel, [p2, p3, bad]));
    assert.deepEqual([second.conflicts.length, second.failures.length], [1, 1]);
    assert.ok(rtnl.routes({ protocol: 112 }).some((r) => r.dst?.address === "10.244.3.0"));
    rtnl.execute(deleteRoute(foreign));
    await heard();
    const wanted = wantedOf(flannel, [p2, p3, p4]);
    assert.deepEqual((await reconciler.reconcile(wanted)).failures, []);
    assert.deepEqual(plan(listHost(rtnl), wanted), SETTLED);
  });

  it("is right after any changes of the wanted peers, contested ones and foreign hands among them", async () => {
    const { rtnl, flannel, reconciler } = node();
    let seed = 1;
    const random = (below: number): number => {
      seed = (seed * 48271) % 2147483647;
      return seed % below;
    };
    let peers: WantedPeer[] = [];
    for (let round = 0; round < 150; round++) {
      const n = 2 + random(20);
      const others = peers.filter(({ key }) => key !== `10.244.${n}.0/24`);
      const change = random(4);
      // Two of the same MAC contend for one FDB entry.
      const macOf = change === 1 ? 2 + random(20) : n;
      peers = change === 0 ? others : [...others, peer(flannel, n, { macOf, node: n + random(2) * 100 })];
      const damage = random(5) === 0 ? rtnl.routes({ protocol: 112 })[random(5)] : undefined;
      if (damage?.dst) rtnl.execute(deleteRoute({ family: 4, dst: damage.dst }));
      if (damage) await heard();
      const wanted = wantedOf(flannel, peers);
      const { failures, conflicts } = await reconciler.reconcile(wanted);
      assert.deepEqual(failures, []);
      const fresh = plan(listHost(rtnl), wanted);
      assert.deepEqual(fresh.steps, [], `round ${round}`);
      assert.deepEqual(conflicts.map(({ of }) => of).sort(), fresh.conflicts.map(({ of }) => of).sort());
    }
  });
});
