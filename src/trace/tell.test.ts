import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { order } from "./order.ts";
import type { ProbeMatch } from "./probe.ts";
import { tell } from "./tell.ts";
import { type PacketRecipe, placeOf, sighting, topology } from "./testing/sightings.ts";

const UDP: ProbeMatch = { protocol: "udp", request: "podpath-ping 1", reply: "podpath-pong 1" };
const TCP: ProbeMatch = { ...UDP, protocol: "tcp", port: 8080 };
const ICMP: ProbeMatch = { protocol: "icmp", request: "podpath-ping 1", reply: "podpath-ping 1" };
const BACK: PacketRecipe = {
  source: "10.244.2.2",
  destination: "10.244.1.2",
  sourcePort: 8080,
  destinationPort: 40000,
};
const WIRES = topology(
  [
    ["pod-a/eth0", "node1/veth1"],
    ["node1/veth2", "pod-b/eth0"],
    ["node1/veth3", "pod-x/eth0"],
  ],
  ["node1/veth1", "node1/veth2", "node1/veth3"],
);
const places = (hops: readonly { leg: string; netns: string; device: string; direction: string }[]): string[] =>
  hops.map(({ leg, netns, device, direction }) => `${leg} ${netns}/${device} ${direction}`);
/** Pod a to pod b over the bridge, beginning at `at`. */
const across = (at: number, recipe: PacketRecipe = {}): ReturnType<typeof sighting>[] => [
  sighting("pod-a/eth0 tx", at, recipe, 4),
  sighting("node1/veth1 rx", at + 1, recipe, 3),
  sighting("node1/veth2 tx", at + 2, recipe, 4),
  sighting("pod-b/eth0 rx", at + 3, recipe),
];
const REQUEST = ["pod-a/eth0 tx", "node1/veth1 rx", "node1/veth2 tx", "pod-b/eth0 rx"].map(
  (place) => `request ${place}`,
);

test("tell() finds the request and the reply by content, among other packets and ARP", () => {
  const answer = { ...BACK, text: "podpath-pong 1" };
  const { hops } = tell(
    [
      sighting("pod-a/eth0 tx", 0, { text: "podpath-ping 2" }),
      ...across(10),
      sighting("pod-b/eth0 tx", 50, answer),
      sighting("pod-a/eth0 rx", 60, answer),
      sighting("pod-a/eth0 tx", 70, { protocol: "tcp" }),
    ],
    UDP,
    WIRES,
    [],
  );
  assert.deepEqual(places(hops), [...REQUEST, "reply pod-b/eth0 tx", "reply pod-a/eth0 rx"]);
  assert.deepEqual(
    hops.map(({ index, tUs, stage }) => [index, tUs, stage]),
    [
      [1, 0, "app-send"],
      [2, 0.001, "bridge"],
      [3, 0.002, "veth-tx"],
      [4, 0.003, "deliver"],
      [1, 0.04, "app-send"],
      [2, 0.05, "deliver"],
    ],
  );
});

test("a reply that quotes the request is the reply", () => {
  const text = "podpath-pong 1 you said podpath-ping 1";
  const { hops } = tell([sighting("pod-b/eth0 tx", 0, { ...BACK, text })], UDP, WIRES, []);
  assert.deepEqual(places(hops), ["reply pod-b/eth0 tx"]);
});

test("an echo's type tells request from reply when both carry the same", () => {
  const echo = { protocol: "icmp" as const };
  const sightings = [
    sighting("pod-a/eth0 tx", 0, echo),
    sighting("pod-a/eth0 rx", 5, { ...echo, ...BACK, icmpType: 0 }),
  ];
  const unreachable = sighting("pod-a/eth0 rx", 3, { ...echo, ...BACK, icmpType: 3 });
  assert.deepEqual(places(tell([...sightings, unreachable], ICMP, WIRES, []).hops), [
    "request pod-a/eth0 tx",
    "reply pod-a/eth0 rx",
  ]);
});

test("of a retransmitted packet the first transmission is shown, even when only the second arrived", () => {
  const [first, lost] = across(0, { id: 7 });
  assert.ok(first && lost);
  const { hops, evidence } = tell([first, lost, ...across(200_000, { id: 8 })], UDP, WIRES, []);
  assert.deepEqual(places(hops), REQUEST.slice(0, 2));
  assert.deepEqual(evidence, ["the request was sent 2 times; the first transmission is shown"]);
});

test("second copies at a place are left out; the same place with less TTL is a loop and stays", () => {
  const twice = tell([...across(0), ...across(100)], UDP, WIRES, []);
  assert.deepEqual(places(twice.hops), REQUEST);
  assert.deepEqual(twice.evidence, ["4 further copies of the request at places it had passed are left out"]);
  const loop = [64, 63, 62].map((ttl, i) => sighting("node1/flannel.1 tx", i, { ttl }));
  assert.equal(tell(loop, UDP, WIRES, []).hops.length, 3);
});

test("flooded copies end at devices that were not asked, and go with the port that sent them", () => {
  const copies = [sighting("node1/veth3 tx", 2, {}, 4), sighting("pod-x/eth0 rx", 3, {}, 3)];
  const { hops, evidence } = tell([...across(0), ...copies], UDP, WIRES, []);
  assert.deepEqual(places(hops), REQUEST);
  assert.deepEqual(evidence, ["a bridge flooded a copy of the request to pod-x/eth0, which was not asked"]);
});

test("a packet that a pod receives for somebody else and nobody else gets is still told by what sent it", () => {
  const [first, second] = across(0);
  assert.ok(first && second);
  const { hops } = tell([first, second], UDP, WIRES, []);
  assert.deepEqual(places(hops), REQUEST.slice(0, 2));
});

test("order() keeps each namespace's own order, whatever the clock says", () => {
  // cni0's sighting keeps the time of veth1's; the other CPU's clock is behind.
  const same = [
    sighting("pod-a/eth0 tx", 100),
    sighting("node1/veth1 rx", 90),
    sighting("node1/cni0 rx", 90),
    sighting("node1/flannel.1 tx", 95),
  ];
  assert.deepEqual(order(same, WIRES).map(placeOf), [
    "node1/veth1 rx",
    "node1/cni0 rx",
    "node1/flannel.1 tx",
    "pod-a/eth0 tx",
  ]);
  const wired = [sighting("pod-a/eth0 tx", 89), ...same.slice(1), sighting("pod-z/eth0 rx", 90)];
  assert.deepEqual(order(wired, WIRES).map(placeOf).slice(0, 2), ["pod-a/eth0 tx", "node1/veth1 rx"]);
});

test("order() puts the reception at a veth's other end right after its sending", () => {
  const wired = [sighting("pod-a/eth0 tx", 10), sighting("node1/veth1 rx", 30), sighting("node2/eth0 rx", 20)];
  assert.deepEqual(order(wired, WIRES).map(placeOf), ["pod-a/eth0 tx", "node1/veth1 rx", "node2/eth0 rx"]);
});

test("order() gives every sighting once, with sending before receiving at equal times", () => {
  const arbitrary = fc.array(
    fc.record({
      netns: fc.constantFrom("pod-a", "node1", "node2"),
      device: fc.constantFrom("eth0", "cni0", "veth1"),
      direction: fc.constantFrom("tx", "rx"),
      time: fc.nat(5),
    }),
    { maxLength: 20 },
  );
  fc.assert(
    fc.property(arbitrary, (list) => {
      const given = list.map(({ netns, device, direction, time }) => sighting(`${netns}/${device} ${direction}`, time));
      const ordered = order(given, WIRES);
      assert.equal(new Set(ordered).size, given.length);
      for (const netns of ["pod-a", "node1", "node2"])
        assert.deepEqual(
          ordered.filter((one) => one.netns === netns),
          given.filter((one) => one.netns === netns),
        );
    }),
  );
  const tie = [sighting("node2/eth0 rx", 5), sighting("pod-a/eth0 tx", 5)];
  assert.deepEqual(order(tie, topology()).map(placeOf), ["pod-a/eth0 tx", "node2/eth0 rx"]);
});

const SYN = 0x02;
const ACK = 0x10;
const segment = (place: string, at: number, recipe: PacketRecipe): ReturnType<typeof sighting> =>
  sighting(place, at, { protocol: "tcp", text: "", ...recipe });

test("the TCP handshake before the request is told, as seen where the request was sent", () => {
  const request = segment("pod-a/eth0 tx", 500_000, { text: "podpath-ping 1" });
  const syn = segment("pod-a/eth0 tx", 100_000, { flags: SYN });
  const answer = segment("pod-a/eth0 rx", 300_000, { ...BACK, flags: SYN | ACK });
  const ack = segment("pod-a/eth0 tx", 310_000, { flags: ACK });
  const said = (...before: ReturnType<typeof sighting>[]): string | undefined =>
    tell([...before, request], TCP, WIRES, []).evidence[0];
  assert.equal(said(syn, answer, ack), "TCP handshake: SYN -400.0 µs, SYN-ACK -200.0 µs, ACK -190.0 µs");
  const again = segment("pod-a/eth0 tx", 200_000, { flags: SYN, id: 2 });
  assert.match(said(syn, again, answer, ack) ?? "", /SYN -400\.0 µs \(sent 2 times\), SYN-ACK/);
  assert.match(said(syn) ?? "", /no SYN-ACK seen/);
  assert.match(said() ?? "", /not seen, the connection was there before/);
  const other = segment("pod-a/eth0 tx", 100_000, { flags: SYN, sourcePort: 40001 });
  assert.match(said(other) ?? "", /not seen/);
});

test("a connection that came not about is shown by its SYN, through NAT, and by the RST that answered", () => {
  const syn = { flags: SYN, sequence: 4_294_967_295 };
  const sightings = [
    segment("pod-a/eth0 tx", 0, { ...syn, destination: "10.96.0.10" }),
    segment("node1/veth1 rx", 1, { ...syn, destination: "10.96.0.10" }),
    segment("node1/flannel.1 tx", 2, { ...syn, destinationPort: 9090, ttl: 63 }),
    segment("pod-a/eth0 rx", 9, { ...BACK, flags: 0x14, acknowledgement: 0 }),
    segment("pod-a/eth0 tx", 3, { ...syn, sequence: 5, destinationPort: 2379 }),
  ];
  const { hops, evidence } = tell(sightings, TCP, WIRES, []);
  assert.deepEqual(places(hops), [
    "request pod-a/eth0 tx",
    "request node1/veth1 rx",
    "request node1/flannel.1 tx",
    "reply pod-a/eth0 rx",
  ]);
  assert.match(evidence[0] ?? "", /did not come about/);
  assert.deepEqual(
    hops[2]?.diff.map((change) => change.kind),
    ["dnat", "ttl-1"],
  );
});
