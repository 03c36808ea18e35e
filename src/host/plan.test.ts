import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseIp, parsePrefix } from "../formats/netip/index.ts";
import { type Nexthop, NTF_SELF, NUD_PERMANENT, type Route } from "../formats/netlink/index.ts";
import { Claims } from "./claims.ts";
import { type ActualState, plan, RTPROT_PODPATH, type WantedPeer, type WantedState } from "./index.ts";
import { Inventory } from "./inventory.ts";
import { isOwnBlackhole } from "./ownership.ts";
import { planAll } from "./plan.ts";
import {
  actualStates,
  applyAll,
  EMPTY,
  ETH0,
  FLANNEL,
  mac,
  NETWORK,
  peer,
  peers,
  route,
  wantedOf,
} from "./testing/fixture.ts";
import { applyChange, blackholeRoute } from "./testing/model.ts";

describe("plan()", () => {
  it("puts devices first and, of a peer, the neighbour before the FDB entry before the route", () => {
    const { steps } = plan(EMPTY, wantedOf([peer(2, 2)]));
    assert.deepEqual(
      steps.map((step) => [step.of, step.changes.map((change) => change.change)]),
      [
        ["device flannel.1", ["set-up", "add-address"]],
        ["peer 10.244.2.0/24", ["replace-neighbour", "replace-fdb", "replace-route"]],
      ],
    );
  });

  it("gives a device its own routes after its address, and they are nobody's to take", () => {
    const routes = [{ dst: NETWORK, oif: FLANNEL, onlink: false }];
    const wanted: WantedState = {
      ...wantedOf([]),
      devices: [{ index: FLANNEL, name: "flannel.1", addresses: [], routes }],
    };
    assert.deepEqual(
      plan(EMPTY, wanted).steps.map((step) => [step.of, step.changes.map((change) => change.change)]),
      [
        ["device flannel.1", ["set-up"]],
        ["routes of device flannel.1", ["replace-route"]],
      ],
    );
    assert.deepEqual(plan(applyAll(EMPTY, wanted), wanted), { steps: [], conflicts: [] });
    const foreign = route("10.244.0.0/16", { oif: ETH0, protocol: 4 });
    const { steps, conflicts } = plan({ ...EMPTY, routes: [foreign] }, wanted);
    assert.deepEqual(
      steps.map((step) => step.of),
      ["device flannel.1"],
    );
    assert.match(conflicts[0]?.why ?? "", /10\.244\.0\.0\/16.*ip route del/);
    assert.equal(conflicts[0]?.of, "routes of device flannel.1");
  });

  it("removes a vanished peer's route before its FDB entry before its neighbour", () => {
    const before = applyAll(EMPTY, wantedOf([peer(2, 2)]));
    assert.deepEqual(
      plan(before, wantedOf([])).steps.map((step) => step.of),
      ["stale route 10.244.2.0/24", `stale FDB entry ${mac(2)}`, "stale neighbour 10.244.2.0"],
    );
  });

  it("reaches a peer by its new MAC before it forgets the old one", () => {
    const before = applyAll(EMPTY, wantedOf([peer(2, 2)]));
    assert.deepEqual(
      plan(before, wantedOf([peer(2, 2, 9)])).steps.flatMap((step) => step.changes.map((change) => change.change)),
      ["replace-neighbour", "replace-fdb", "delete-fdb"],
    );
  });

  it("adopts the same route of another protocol on our device, and removes what Flannel left of others", () => {
    const boot = (n: number): Route =>
      route(`10.244.${n}.0/24`, { gateway: parseIp(`10.244.${n}.0`), oif: FLANNEL, onlink: true });
    const wanted = wantedOf([peer(2, 2)]);
    const after = applyAll({ ...applyAll(EMPTY, wanted), routes: [boot(2), boot(9)] }, wanted);
    assert.deepEqual(
      after.routes.map((r) => [r.dst?.address, r.protocol]),
      [["10.244.2.0", RTPROT_PODPATH]],
    );
  });

  it("knows the onlink routes by node addresses that Flannel's ipip left on our device, and no others", () => {
    const route = { ...blackholeRoute(parsePrefix("10.244.2.0/24")), priority: 0 };
    const onlink = { ...route, type: 1, protocol: 3, oif: FLANNEL, onlink: true };
    const left = { ...onlink, dst: parsePrefix("10.244.2.0/24"), gateway: parseIp("192.168.100.12") };
    const operators = { ...onlink, dst: parsePrefix("10.244.3.0/24"), gateway: parseIp("10.244.2.7") };
    const { steps } = plan({ ...EMPTY, routes: [left, operators] }, wantedOf([]));
    assert.deepEqual(
      steps.flatMap(({ changes }) => changes).filter(({ change }) => change === "delete-route"),
      [{ change: "delete-route", route: left }],
    );
  });

  it("clears the way for an IPv6 route of another device, which the kernel would refuse beside its predecessor", () => {
    const dst = parsePrefix("2001:db8:42:2::/64");
    const routes = [{ dst, gateway: dst.address, oif: FLANNEL, onlink: true }];
    const wanted = {
      ...wantedOf([{ key: "2", neighbours: [], fdb: [], routes }]),
      ranges: [parsePrefix("2001:db8:42::/48")],
    };
    const before = { ...blackholeRoute(dst), priority: 1024, type: 1 };
    const direct = { ...before, gateway: parseIp("fd00:100::c"), oif: ETH0, onlink: false };
    const last = plan({ ...EMPTY, routes: [direct] }, wanted).steps.at(-1);
    assert.deepEqual(last, {
      of: "peer 2",
      changes: [
        { change: "delete-route", route: direct },
        { change: "replace-route", route: routes[0] },
      ],
    });
  });

  it("leaves a foreign route in a peer's place alone, and says so", () => {
    const foreign = route("10.244.2.0/24", { gateway: parseIp("192.168.100.99"), oif: ETH0, protocol: 4 });
    const wanted = wantedOf([peer(2, 2), peer(3, 3)]);
    const { conflicts } = plan({ ...EMPTY, routes: [foreign] }, wanted);
    assert.deepEqual(
      conflicts.map((conflict) => conflict.of),
      ["peer 10.244.2.0/24"],
    );
    const after = applyAll({ ...EMPTY, routes: [foreign] }, wanted);
    assert.ok(after.routes.includes(foreign));
    assert.ok(after.routes.some((r) => r.dst?.address === "10.244.3.0"));
  });

  it("gives two peers with one MAC to the first, and says so of the second", () => {
    const { conflicts } = plan(EMPTY, wantedOf([peer(2, 2, 2), peer(3, 3, 2)]));
    assert.deepEqual(
      conflicts.map((conflict) => conflict.of),
      ["peer 10.244.3.0/24"],
    );
  });

  it("drops what goes to this node's subnet and no other route takes, and stops it when that is not wanted", () => {
    const own = parsePrefix("10.244.1.0/24");
    const connected = route("10.244.1.0/24", { oif: 9, protocol: 2 });
    const foreign = route("10.244.1.0/24", { type: 6, protocol: 3, priority: 50 });
    const before = { ...EMPTY, routes: [connected, foreign] };
    const wanted: WantedState = { ...wantedOf([]), blackholes: [own] };
    const after = applyAll(before, wanted);
    assert.deepEqual(after.routes, [connected, foreign, blackholeRoute(own)]);
    assert.deepEqual(plan(after, wanted).steps, []);
    assert.deepEqual(applyAll(after, wantedOf([])).routes, [connected, foreign]);
    const moved = { ...wanted, blackholes: [parsePrefix("10.244.9.0/24")] };
    assert.deepEqual(applyAll(after, moved).routes.slice(2), [blackholeRoute(parsePrefix("10.244.9.0/24"))]);
  });

  it("makes any kernel state the wanted one, once and for all, and touches nothing foreign", () => {
    fc.assert(
      fc.property(
        actualStates,
        fc.uniqueArray(peers, { selector: (p) => p.key, maxLength: 5 }),
        fc.subarray(["10.244.1.0/24", "10.244.3.0/24"]),
        fc.boolean(),
        (actual, wantedPeers, dropped, isCrowded) => {
          const options = isCrowded ? { nexthopsFrom: 0 } : {};
          const wanted = { ...wantedOf(wantedPeers), blackholes: dropped.map(parsePrefix) };
          const { conflicts } = plan(actual, wanted, options);
          const after = applyAll(actual, wanted, options);
          assert.deepEqual(plan(after, wanted, options).steps, []);
          assertNexthops(actual, after);
          const inConflict = new Set(conflicts.map((conflict) => conflict.of));
          const reached = wantedPeers.filter((p) => !inConflict.has(`peer ${p.key}`));
          for (const p of reached) assertReached(after, p);
          assertNothingElse(after, wantedPeers);
          const drops = after.routes.filter(isOwnBlackhole);
          assert.deepEqual(drops.map((r) => r.dst?.address).sort(), wanted.blackholes.map((b) => b.address).sort());
          assert.deepEqual(after.routes.filter(isForeign), actual.routes.filter(isForeign));
          assert.deepEqual(
            after.neighbours.filter((n) => n.index !== FLANNEL),
            actual.neighbours.filter((n) => n.index !== FLANNEL),
          );
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("is kept up with by an inventory: what it notes of the changes is what the kernel then has", () => {
    const isSame = (a: ActualState, b: ActualState): void => {
      const texts = (state: ActualState): string[] =>
        [state.addresses, state.neighbours, state.fdb, state.nexthops ?? []]
          .flatMap((list) => list.map((one) => JSON.stringify(Object.entries(one).sort())))
          .concat(state.routes.map((r) => JSON.stringify(Object.entries({ ...r, priority: r.priority ?? 0 }).sort())))
          .sort();
      assert.deepEqual(texts(a), texts(b));
    };
    fc.assert(
      fc.property(
        actualStates,
        fc.uniqueArray(peers, { selector: (p) => p.key, maxLength: 5 }),
        (actual, wantedPeers) => {
          const wanted = wantedOf(wantedPeers);
          const inventory = new Inventory(actual);
          const { steps } = planAll(inventory, wanted, new Claims(), { nexthopsFrom: 0 });
          const changes = steps.flatMap((step) => step.changes);
          for (const change of changes) inventory.apply(change);
          isSame(inventory, changes.reduce(applyChange, actual));
          assert.deepEqual(planAll(inventory, wanted, new Claims(), { nexthopsFrom: 0 }).steps, []);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

/** Ours are those that a route names; the others are as they were. */
function assertNexthops(before: ActualState, after: ActualState): void {
  const named = new Set(after.routes.map((r) => r.nexthopId));
  const isOurs = (n: Nexthop): boolean => n.protocol === RTPROT_PODPATH;
  for (const nexthop of after.nexthops?.filter(isOurs) ?? []) assert.ok(named.has(nexthop.id), `idle ${nexthop.id}`);
  assert.deepEqual(
    after.nexthops?.filter((n) => !isOurs(n)),
    before.nexthops?.filter((n) => !isOurs(n)),
  );
}

const isForeign = (r: Route): boolean => r.protocol !== RTPROT_PODPATH && r.oif !== FLANNEL;

function assertReached(after: ActualState, p: WantedPeer): void {
  for (const n of p.neighbours) {
    const found = after.neighbours.find((is) => is.index === n.index && is.address === n.address);
    assert.equal(found?.lladdr, n.lladdr);
    assert.equal(found?.state, NUD_PERMANENT);
  }
  for (const f of p.fdb) {
    const found = after.fdb.filter((is) => is.index === f.index && is.lladdr === f.lladdr && is.flags === NTF_SELF);
    assert.deepEqual(
      found.map((is) => [is.dst, is.state]),
      [[f.dst, NUD_PERMANENT]],
    );
  }
  for (const r of p.routes)
    assert.ok(
      after.routes.some((is) => is.dst?.address === r.dst.address && is.gateway === r.gateway && is.oif === r.oif),
    );
}

function assertNothingElse(after: ActualState, wanted: readonly WantedPeer[]): void {
  const ours = after.routes.filter((r) => r.protocol === RTPROT_PODPATH && r.type === 1).map((r) => r.dst?.address);
  for (const dst of ours) assert.ok(wanted.some((p) => p.routes.some((r) => r.dst.address === dst)));
  for (const n of after.neighbours.filter((is) => is.index === FLANNEL && is.state === NUD_PERMANENT))
    assert.ok(wanted.some((p) => p.neighbours.some((w) => w.address === n.address)));
  for (const f of after.fdb.filter((is) => is.index === FLANNEL && is.flags === NTF_SELF && is.state === NUD_PERMANENT))
    assert.ok(wanted.some((p) => p.fdb.some((w) => w.lladdr === f.lladdr)));
}
