import assert from "node:assert/strict";
import { test } from "node:test";
import { type Ipv4Address, parseIpv4, parseMac } from "../formats/netip/index.ts";
import {
  dissect,
  ETH_P_IP,
  encodeEthernet,
  encodeIcmp,
  encodeIpv4,
  encodeUdp,
  encodeVxlan,
  IPPROTO_ICMP,
  IPPROTO_UDP,
  type Layer,
} from "../formats/packet/index.ts";
import { diffPackets, openEnvelope } from "./change.ts";
import type { Leg } from "./vocabulary.ts";

interface Recipe {
  source?: string;
  destination?: string;
  sourcePort?: number;
  destinationPort?: number;
  ttl?: number;
  mac?: number;
  text?: string;
  echo?: number;
}

function bytes(recipe: Recipe): Uint8Array {
  const { source = "10.244.1.2", destination = "10.244.2.2", ttl = 64, mac = 1, text = "tag", echo } = recipe;
  const payload = new TextEncoder().encode(text);
  const addresses: { source: Ipv4Address; destination: Ipv4Address } = {
    source: parseIpv4(source),
    destination: parseIpv4(destination),
  };
  const { sourcePort = 40000, destinationPort = 8080 } = recipe;
  const transport =
    echo === undefined
      ? encodeUdp({ sourcePort, destinationPort, payload }, addresses)
      : encodeIcmp({ type: 8, code: 0, rest: (echo << 16) | 1, payload });
  const packet = encodeIpv4({
    ...addresses,
    tos: 0,
    identification: 7,
    reserved: false,
    dontFragment: true,
    moreFragments: false,
    fragmentOffset: 0,
    ttl,
    protocol: echo === undefined ? IPPROTO_UDP : IPPROTO_ICMP,
    options: new Uint8Array(),
    payload: transport,
  });
  return encodeEthernet({
    destination: parseMac(`0a:58:0a:f4:02:0${mac}`),
    source: parseMac(`0a:58:0a:f4:01:0${mac}`),
    etherType: ETH_P_IP,
    payload: packet,
  });
}
const packet = (recipe: Recipe = {}): Layer[] => dissect(bytes(recipe));
const carried = (recipe: Recipe = {}, outer: Recipe = {}): Layer[] => {
  const text = encodeVxlan({ flags: 8, vni: 1, payload: bytes(recipe) });
  const carrier = { source: "192.168.100.11", destination: "192.168.100.12", destinationPort: 8472, ...outer };
  // The recipe's payload is text; here it is bytes, put in by hand.
  const frame = dissect(bytes({ ...carrier, text: String.fromCharCode(...new Uint8Array(text.length)) }));
  const at = frame.findIndex((layer) => layer.layer === "udp");
  return [...frame.slice(0, at + 1), { layer: "vxlan", flags: 8, vni: 1 }, ...dissect(bytes(recipe))];
};

const CASES: [why: string, before: Layer[], after: Layer[], leg: Leg, want: string[]][] = [
  ["nothing happened", packet(), packet(), "request", []],
  ["a router passed it on", packet(), packet({ ttl: 63, mac: 2 }), "request", ["ttl-1", "mac"]],
  ["two routers did", packet(), packet({ ttl: 62 }), "request", ["ttl"]],
  ["the destination was translated", packet(), packet({ destination: "10.96.0.10" }), "request", ["dnat"]],
  ["only its port was", packet(), packet({ destinationPort: 80 }), "request", ["dnat"]],
  ["the source was masqueraded", packet(), packet({ source: "192.168.100.11", sourcePort: 1 }), "request", ["snat"]],
  ["both were", packet(), packet({ source: "10.0.0.1", destination: "10.0.0.2" }), "request", ["dnat", "snat"]],
  ["a reply's source was given back", packet(), packet({ source: "10.96.0.10" }), "reply", ["un-dnat"]],
  ["a reply's destination was", packet(), packet({ destination: "10.0.0.9" }), "reply", ["un-snat"]],
  ["an echo's identifier was translated", packet({ echo: 5 }), packet({ echo: 6 }), "request", ["snat"]],
  ["and given back", packet({ echo: 6 }), packet({ echo: 5 }), "reply", ["un-snat"]],
  ["it was wrapped", packet(), carried(), "request", ["vxlan-encap"]],
  ["and unwrapped", carried(), packet(), "request", ["vxlan-decap"]],
  ["routed and wrapped at once", packet(), carried({ ttl: 63 }), "request", ["ttl-1", "vxlan-encap"]],
  ["the carrier was routed", carried(), carried({}, { ttl: 63, mac: 3 }), "request", ["outer-ttl", "outer-mac"]],
  [
    "the carrier went elsewhere",
    carried(),
    carried({}, { destination: "192.168.100.13" }),
    "request",
    ["outer-address"],
  ],
  ["the data changed", packet(), packet({ text: "tug" }), "request", ["other"]],
];
for (const [why, before, after, leg, want] of CASES)
  test(`diffPackets() when ${why}: ${want.join(", ") || "no change"}`, () => {
    const changes = diffPackets(before, after, leg);
    assert.deepEqual(
      changes.map((change) => change.kind),
      want,
    );
    for (const change of changes) assert.notEqual(change.text, "");
  });

test("diffPackets() tells what changed into what", () => {
  const [dnat, ttl] = diffPackets(
    packet(),
    packet({ destination: "10.96.0.10", destinationPort: 80, ttl: 63 }),
    "request",
  );
  assert.equal(dnat?.text, "destination 10.244.2.2:8080 -> 10.96.0.10:80");
  assert.deepEqual([dnat?.before, dnat?.after], ["10.244.2.2:8080", "10.96.0.10:80"]);
  assert.equal(ttl?.text, "ttl 64 -> 63");
  const [encap] = diffPackets(packet(), carried(), "request");
  assert.equal(encap?.text, "VXLAN 192.168.100.11 > 192.168.100.12:8472 vni 1");
});

test("openEnvelope() parts a packet at its innermost VXLAN header", () => {
  assert.deepEqual(openEnvelope(packet()).outer, []);
  const { outer, inner, vni } = openEnvelope(carried());
  assert.deepEqual([outer.at(-1)?.layer, inner[0]?.layer, vni], ["udp", "ethernet", 1]);
});
