import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseIp } from "../formats/netip/index.ts";
import type { Nexthop } from "../formats/netlink/index.ts";
import { type ActualState, type Change, plan, RTPROT_PODPATH } from "./index.ts";
import { applyAll, EMPTY, ETH0, FLANNEL, manyPeers, route, wantedOf } from "./testing/fixture.ts";
import { applyChange } from "./testing/model.ts";

describe("plan() with nexthop objects", () => {
  it("names nexthop objects of our protocol once there are many peers, and plain gateways before", () => {
    const crowd = manyPeers(500);
    const few = applyAll({ ...EMPTY, nexthops: [] }, wantedOf(crowd.slice(1)));
    assert.deepEqual(few.nexthops, []);
    const { steps } = plan(few, wantedOf(crowd));
    assert.deepEqual(
      steps.map((step) => step.changes.map((change) => change.change)),
      [["replace-neighbour", "replace-fdb", "add-nexthop", "replace-route"]],
      "what leads there already stays as it is",
    );
    const all = applyAll({ ...EMPTY, nexthops: [] }, wantedOf(crowd));
    assert.equal(new Set(all.routes.map((r) => r.nexthopId)).size, 500);
    assert.deepEqual(plan(all, wantedOf(crowd)).steps, []);
    assert.deepEqual(plan(all, wantedOf(crowd.slice(1))).steps.flatMap(kinds), [
      "delete-route",
      "delete-nexthop",
      "delete-fdb",
      "delete-neighbour",
    ]);
  });

  it("does without nexthop objects where the kernel has none", () => {
    const after = applyAll(EMPTY, wantedOf(manyPeers(600)));
    assert.deepEqual(
      [after.nexthops, after.routes.length, after.routes.some((r) => r.nexthopId)],
      [undefined, 600, false],
    );
  });

  it("takes no id that somebody has, uses its own idle objects again, and leaves those that somebody uses", () => {
    const crowd = manyPeers(500);
    const object = (id: number, fields: Partial<Nexthop> = {}): Nexthop => ({
      id,
      family: 4,
      gateway: parseIp("10.99.0.1"),
      oif: FLANNEL,
      onlink: true,
      protocol: RTPROT_PODPATH,
      blackhole: false,
      ...fields,
    });
    const foreign = object(0x7064_0000, { protocol: 3 });
    const inGroup = object(0x7064_0001);
    const { family: _none, ...group } = object(9, { protocol: 3, group: [{ id: 0x7064_0001, weight: 1 }] });
    const named = object(0x7064_0002);
    const idle = object(0x7064_0003);
    const usable = object(0x7064_0004, { gateway: crowd[0]?.routes[0]?.gateway as never });
    const theirs = route("172.16.0.0/24", { nexthopId: named.id, gateway: named.gateway as never, oif: FLANNEL });
    const before = { ...EMPTY, routes: [theirs], nexthops: [foreign, inGroup, group, named, idle, usable] };
    const after = applyAll(before, wantedOf(crowd));
    const ids = (after.nexthops ?? []).map(({ id }) => id);
    for (const kept of [foreign, inGroup, group, named, usable])
      assert.ok(after.nexthops?.includes(kept), `${kept.id}`);
    assert.ok(!ids.includes(idle.id));
    assert.equal(ids.length, new Set(ids).size);
    assert.equal(ids.length, 4 + 500);
    assert.ok(after.routes.includes(theirs));
    assert.deepEqual(plan(after, wantedOf(crowd)).steps, []);
  });

  it("makes a peer's route again when its nexthop object went, or leads elsewhere now", () => {
    const wanted = wantedOf(manyPeers(500));
    const whole = applyAll({ ...EMPTY, nexthops: [] }, wanted);
    const id = whole.routes[7]?.nexthopId as number;
    const elsewhere = { gateway: parseIp("10.99.0.1"), oif: ETH0 };
    const damages: ActualState[] = [
      applyChange(whole, { change: "delete-nexthop", nexthop: { id } as Nexthop }),
      { ...whole, routes: whole.routes.filter((r) => r.nexthopId !== id) },
      {
        ...whole,
        nexthops: whole.nexthops?.map((n) => (n.id === id ? { ...n, ...elsewhere, protocol: 3 } : n)),
        routes: whole.routes.map((r) => (r.nexthopId === id ? { ...r, ...elsewhere } : r)),
      },
    ];
    for (const damaged of damages) {
      const after = applyAll(damaged, wanted);
      assert.equal(after.routes.length, 500);
      assert.deepEqual(plan(after, wanted).steps, []);
    }
  });
});

const kinds = ({ changes }: { changes: readonly Change[] }): string[] => changes.map(({ change }) => change);
