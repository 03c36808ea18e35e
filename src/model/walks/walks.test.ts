import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { type ChangeKind, stageOf } from "../index.ts";
import { findWalk, legOf, WALKS } from "./index.ts";
import { MADE_BY } from "./made-by.ts";

const LEGS = ["request", "reply"] as const;
const allHops = WALKS.flatMap((walk) => LEGS.map((leg) => ({ walk, leg, hops: legOf(walk, leg) })));

test("there are six walks, found by number and by name", () => {
  assert.deepEqual(
    WALKS.map((walk) => walk.number),
    [1, 2, 3, 4, 5, 6],
  );
  for (const walk of WALKS) {
    assert.equal(findWalk(walk.number), walk);
    assert.equal(findWalk(walk.name), walk);
  }
  assert.equal(findWalk("7"), undefined);
});

test("every hop's stage is the one its device and place have", () => {
  for (const { walk, leg, hops } of allHops)
    hops.forEach(({ device, direction, stage }, i) => {
      const ends = { isFirst: i === 0, isLast: i === hops.length - 1 };
      assert.equal(stage, stageOf({ device, direction, ...ends }), `${walk.name} ${leg} ${i + 1}`);
    });
});

test("a leg begins by sending and ends by receiving, and nothing has changed at its beginning", () => {
  for (const { hops } of allHops) {
    assert.deepEqual([hops[0]?.direction, hops.at(-1)?.direction], ["tx", "rx"]);
    assert.deepEqual(hops[0]?.changes, []);
  }
});

test("each leg takes off what it puts on, and every router on it spends one TTL", () => {
  const count = (leg: (typeof allHops)[number], ...kinds: ChangeKind[]): number =>
    leg.hops.flatMap((hop) => hop.changes).filter((kind) => kinds.includes(kind)).length;
  for (const leg of allHops) {
    assert.equal(count(leg, "vxlan-encap"), count(leg, "vxlan-decap"), leg.walk.name);
    assert.equal(count(leg, "ttl-1"), count(leg, "mac"), leg.walk.name);
  }
  for (const walk of WALKS) {
    const [request, reply] = LEGS.map((leg) => ({ walk, leg, hops: legOf(walk, leg) }));
    assert.ok(request && reply);
    assert.equal(count(request, "dnat"), count(reply, "un-dnat"), walk.name);
    assert.equal(count(request, "snat"), count(reply, "un-snat"), walk.name);
    assert.equal(count(request, "ttl-1"), count(reply, "ttl-1"), walk.name);
  }
});

test("Linux's truth: 1 is lo only, 2 has no cni0 and no change, 3 and 6 have no flannel.1, 4 has no translation", () => {
  const devices = (number: number): string[] => WALKS[number - 1]?.request.map((hop) => hop.device) ?? [];
  const changes = (number: number): string[] => WALKS[number - 1]?.request.flatMap((hop) => hop.changes) ?? [];
  assert.deepEqual(devices(1), ["lo", "lo"]);
  assert.deepEqual(devices(2), ["eth0", "src-veth", "dst-veth", "eth0"]);
  assert.deepEqual(changes(2), []);
  assert.deepEqual(devices(3), ["cni0", "dst-veth", "eth0"]);
  assert.ok(!devices(6).includes("flannel.1"));
  assert.deepEqual(
    changes(4).filter((kind) => kind.endsWith("nat")),
    [],
  );
});

test("what a walk says is made by a file is made by a file of this repository", () => {
  const root = new URL("../../../", import.meta.url);
  for (const file of Object.values(MADE_BY)) assert.ok(existsSync(new URL(file, root)), file);
});
