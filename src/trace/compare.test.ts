import assert from "node:assert/strict";
import { test } from "node:test";
import type { Cast, Change, ChangeKind, Hop, Walk, WalkHop } from "../model/index.ts";
import { deviceName, legOf, WALKS } from "../model/index.ts";
import { compare } from "./compare.ts";

const CAST: Cast = {
  places: {
    ...{ "src-pod": "pod-a", "src-node": "node1", "dst-pod": "pod-c", "dst-node": "node2" },
    fabric: "fabric",
    gateway: "gateway",
    client: "client",
  },
  devices: {
    ...{ "src-veth": "veth1", "dst-veth": "veth2" },
    ...{ "src-port": "p-node1", "dst-port": "p-node2", "gateway-port": "p-gateway" },
  },
};

/** A walk as it would be observed. */
function walked(walk: Walk): Hop[] {
  return (["request", "reply"] as const).flatMap((leg) =>
    legOf(walk, leg).map(
      (want, i): Hop => ({
        ...{
          leg,
          index: i + 1,
          node: "n",
          netns: CAST.places[want.place] ?? "",
          device: deviceName(CAST, want.device),
        },
        ...{ direction: want.direction, stage: want.stage, packet: [], summary: "", notes: [], tUs: i },
        ...{ timestampNs: 0n, frame: new Uint8Array(), evidence: [], diff: want.changes.map(changed) },
      }),
    ),
  );
}
const changed = (kind: ChangeKind): Change => ({ kind, text: `${kind} text` });
const fourth = WALKS[3] as Walk;
const hops = walked(fourth);
const at = (i: number): Hop => hops[i] as Hop;

test("compare() finds nothing in any walk that was walked as written", () => {
  for (const walk of WALKS) assert.deepEqual(compare(walked(walk), walk, CAST), [], walk.name);
});

const CASES: [why: string, seen: Hop[], want: { leg: string; kind: string; hop: number; text: RegExp }][] = [
  [
    "a leg ended early",
    [...hops.slice(0, 5), ...hops.slice(12)],
    {
      leg: "request",
      kind: "OBSERVED_EARLIER_LOSS",
      hop: 6,
      text: /last seen at node1\/eth0 tx, expected next at fabric\/p-node1 rx$/,
    },
  ],
  [
    "the kernel said why",
    [
      ...hops.slice(0, 8),
      { ...at(8), evidence: ["kfree_skb: dropped, reason IP_INADDRERRORS, at ip_error"] },
      ...hops.slice(12),
    ],
    {
      leg: "request",
      kind: "OBSERVED_EARLIER_LOSS",
      hop: 10,
      text: /node2\/cni0 tx; kfree_skb: dropped, reason IP_INADDRERRORS/,
    },
  ],
  [
    "a leg was never seen",
    hops.slice(0, 12),
    {
      leg: "reply",
      kind: "OBSERVED_EARLIER_LOSS",
      hop: 1,
      text: /the reply was never seen; expected first at pod-c\/eth0 tx/,
    },
  ],
  [
    "a hop is missing",
    hops.filter((hop) => hop !== at(2)),
    {
      leg: "request",
      kind: "OBSERVED_OTHER_PATH",
      hop: 3,
      text: /node1\/cni0 rx is missing: seen next was node1\/flannel\.1 tx/,
    },
  ],
  [
    "a hop too many lies on the way",
    [...hops.slice(0, 3), { ...at(2), device: "br7" }, ...hops.slice(3)],
    {
      leg: "request",
      kind: "OBSERVED_OTHER_PATH",
      hop: 4,
      text: /node1\/br7 rx is not on the walk: expected next was node1\/flannel\.1 tx/,
    },
  ],
  [
    "it went on past its end",
    [...hops.slice(0, 12), { ...at(11), device: "eth9" }, ...hops.slice(12)],
    { leg: "request", kind: "OBSERVED_OTHER_PATH", hop: 13, text: /should have ended, and went on to pod-c\/eth9 rx/ },
  ],
  [
    "it took another device",
    hops.map((hop) => (hop === at(3) ? { ...hop, device: "wg0" } : hop)),
    { leg: "request", kind: "OBSERVED_OTHER_PATH", hop: 4, text: /expected node1\/flannel\.1 tx, seen node1\/wg0 tx/ },
  ],
  [
    "a change did not happen",
    hops.map((hop) => (hop === at(3) ? { ...hop, diff: [changed("mac")] } : hop)),
    {
      leg: "request",
      kind: "OBSERVED_DIFFERENT_PACKET",
      hop: 4,
      text: /at node1\/flannel\.1 tx: expected ttl-1, which did not happen$/,
    },
  ],
  [
    "another change happened",
    hops.map((hop) => (hop === at(9) ? { ...hop, diff: [...hop.diff, changed("snat")] } : hop)),
    { leg: "request", kind: "OBSERVED_DIFFERENT_PACKET", hop: 10, text: /not expected: snat \(snat text\)/ },
  ],
];
for (const [why, seen, want] of CASES)
  test(`compare() when ${why}: ${want.kind} at hop ${want.hop}`, () => {
    const differences = compare(seen, fourth, CAST);
    assert.equal(differences.length, 1);
    const [{ leg, kind, hop, text } = {} as never] = differences;
    assert.deepEqual({ leg, kind, hop }, { leg: want.leg, kind: want.kind, hop: want.hop });
    assert.match(text, want.text);
  });

test("compare() names missing and extra changes", () => {
  const seen = hops.map((hop) => (hop === at(3) ? { ...hop, diff: [changed("mac"), changed("dnat")] } : hop));
  const [difference] = compare(seen, fourth, CAST);
  assert.deepEqual([difference?.missingChanges, difference?.extraChanges], [["ttl-1"], ["dnat"]]);
});

test("compare() says when nobody plays a part", () => {
  const { "dst-pod": _, ...places } = CAST.places;
  const [first] = compare(hops, fourth, { ...CAST, places });
  assert.equal(first?.kind, "NOT_OBSERVABLE");
  assert.match(first?.text ?? "", /nobody plays dst-pod/);
});

test("a difference in one leg does not hide one in the other", () => {
  const seen = hops.filter((hop: Hop | WalkHop) => hop !== at(2) && hop !== at(14));
  assert.deepEqual(
    compare(seen, fourth, CAST).map(({ leg, hop }) => [leg, hop]),
    [
      ["request", 3],
      ["reply", 3],
    ],
  );
});
