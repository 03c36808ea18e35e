import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseIpv4, parseMac } from "../netip/index.ts";
import { dissect } from "./dissect.ts";
import { ETH_P_8021Q, ETH_P_IP, encodeEthernet } from "./ethernet.ts";
import { encodeIcmp } from "./icmp.ts";
import { encodeIpv4, IPPROTO_ICMP, IPPROTO_UDP, type Ipv4 } from "./ipv4.ts";
import { findLayer, type Layer } from "./layer.ts";
import { summarise } from "./summarise.ts";
import { goldenCaptures } from "./testing/golden.ts";
import { encodeUdp } from "./udp.ts";

const CAPTURES = goldenCaptures();
const FRAMES = CAPTURES.flatMap((capture) => capture.frames);
const kinds = (layers: readonly Layer[]): string => layers.map((layer) => layer.layer).join(" ");

const A = parseIpv4("10.244.1.2");
const B = parseIpv4("10.244.2.2");
const IP: Omit<Ipv4, "payload" | "protocol"> = {
  tos: 0,
  identification: 7,
  reserved: false,
  dontFragment: true,
  moreFragments: false,
  fragmentOffset: 0,
  ttl: 64,
  source: A,
  destination: B,
  options: new Uint8Array(),
};
const frame = (payload: Uint8Array, etherType: number = ETH_P_IP): Uint8Array =>
  encodeEthernet({
    destination: parseMac("0a:58:0a:f4:02:02"),
    source: parseMac("0a:58:0a:f4:01:02"),
    etherType,
    payload,
  });

// What we say more, less or otherwise than tcpdump 4.99: it guesses "HTTP" from the port, calls port 8472 OTV, leaves out
// where an IPv4 fragment lies, and puts the ports after the extension headers.
function ours(line: string): string {
  return line
    .replace(/ frag \(\d+\|\d+\)$/, (text) => (line.startsWith("IP ") ? "" : text))
    .replace(/VXLAN, flags \[I\] \(0x08\), vni (\d+): /, "OTV, flags [I] (0x08), overlay 0, instance $1\n");
}
const theirs = (line: string): string => line.replace(/: HTTP$/, "").trimEnd();

test("summarise() prints what tcpdump prints, for every frame of testdata/packet", () => {
  assert.equal(CAPTURES.length, 12);
  for (const { name, frames, lines } of CAPTURES) {
    const said = frames.flatMap((bytes) => ours(summarise(dissect(bytes))).split("\n"));
    const want = lines.map(theirs);
    if (name === "ipv6-extensions") {
      assert.match(said[0] ?? "", /^IP6 fd00:50::1\.\d+ > fd00:50::2\.8080: HBH DSTOPT UDP, length 10$/);
      assert.match(want[0] ?? "", /HBH DSTOPT \d+ > 8080: UDP, length 10$/);
      said.shift();
      want.shift();
    }
    assert.deepEqual(said, want, name);
  }
});

test("dissect() descends into VXLAN and finds the inner frame's headers after the outer ones", () => {
  const [first] = CAPTURES.find((capture) => capture.name === "vxlan")?.frames ?? [];
  const layers = dissect(first ?? new Uint8Array());
  assert.equal(kinds(layers), "ethernet ipv4 udp vxlan ethernet ipv4 icmp payload");
  const vxlan = findLayer(layers, "vxlan");
  assert.equal(vxlan?.vni, 1);
  const [outer, inner] = layers.filter((layer) => layer.layer === "ipv4");
  assert.equal(outer?.destination, "192.168.50.2");
  assert.equal(inner?.destination, "10.244.2.0");
  assert.equal(findLayer(layers, "udp")?.checksumState, "none");
});

test("dissect() finds every IP, ICMP and ICMPv6 checksum of the kernel's own packets valid", () => {
  let checked = 0;
  for (const layer of FRAMES.flatMap((bytes) => dissect(bytes))) {
    if (layer.layer !== "ipv4" && layer.layer !== "icmp" && layer.layer !== "icmpv6") continue;
    if (layer.checksumState === "unchecked") continue;
    assert.equal(layer.checksumState, "valid");
    checked++;
  }
  assert.ok(checked > 60, `${checked} checksums`);
});

test("dissect() tells a checksum left to the device (partial) from a wrong one", () => {
  const tcp = CAPTURES.find((capture) => capture.name === "tcp")?.frames[0] ?? new Uint8Array();
  const state = (bytes: Uint8Array): string | undefined => findLayer(dissect(bytes), "tcp")?.checksumState;
  // On a veth pair the kernel leaves the sum undone, and the capture shows that.
  assert.equal(state(tcp), "partial");
  const damaged = tcp.slice();
  damaged[50] = (damaged[50] ?? 0) ^ 0xff;
  assert.equal(state(damaged), "invalid");
  const packet = encodeIpv4({
    ...IP,
    protocol: IPPROTO_UDP,
    payload: encodeUdp(
      { sourcePort: 1, destinationPort: 2, payload: Uint8Array.of(1, 2, 3) },
      { source: A, destination: B },
    ),
  });
  assert.equal(findLayer(dissect(packet, "ipv4"), "udp")?.checksumState, "valid");
});

test("dissect() reads 802.1Q tags, stacked too", () => {
  const ip = encodeIpv4({ ...IP, protocol: 253, payload: new Uint8Array(3) });
  const tagged = Uint8Array.of(0xa0, 5, 0x81, 0, 0, 6, 8, 0, ...ip);
  const layers = dissect(frame(tagged, ETH_P_8021Q));
  assert.equal(kinds(layers), "ethernet vlan vlan ipv4 payload");
  assert.equal(summarise(layers), "vlan 5, p 5, vlan 6, p 0: IP 10.244.1.2 > 10.244.2.2: ip-proto-253, length 3");
});

test("dissect() gives what an ICMP error quotes, one level deep only", () => {
  const icmp = (payload: Uint8Array): Uint8Array =>
    encodeIpv4({ ...IP, protocol: IPPROTO_ICMP, payload: encodeIcmp({ type: 3, code: 1, rest: 0, payload }) });
  const layers = dissect(icmp(icmp(icmp(new Uint8Array(8)))), "ipv4");
  const quoted = findLayer(layers, "icmp")?.quoted ?? [];
  assert.equal(kinds(quoted), "ipv4 icmp payload");
  assert.equal(findLayer(quoted, "icmp")?.quoted, undefined);
  assert.equal(summarise(layers), "IP 10.244.1.2 > 10.244.2.2: ICMP host 10.244.2.2 unreachable, length 72");
});

test("dissect() says where a cut capture ends, and does not judge its checksum", () => {
  const [, reply] = CAPTURES.find((capture) => capture.name === "icmp")?.frames ?? [];
  const layers = dissect((reply ?? new Uint8Array()).subarray(0, 60));
  assert.equal(kinds(layers), "ethernet ipv4 icmp payload malformed");
  assert.equal(findLayer(layers, "icmp")?.checksumState, "unchecked");
  assert.match(summarise(layers), /length 64 \[cut off: 38 of 56 payload bytes are not in the capture\]$/);
});

test("dissect() leaves Ethernet's padding out of the packet", () => {
  const packet = encodeIpv4({ ...IP, protocol: 253, payload: Uint8Array.of(1) });
  const layers = dissect(frame(Uint8Array.of(...packet, ...new Uint8Array(25))));
  assert.deepEqual(findLayer(layers, "payload")?.bytes, Uint8Array.of(1));
});

const MALFORMED: [why: string, bytes: number[], start: "ethernet" | "ipv4" | "ipv6", reason: RegExp][] = [
  ["an empty frame", [], "ethernet", /ethernet at byte 0: 0 bytes/],
  ["half an IPv4 header", [0x45, 0, 0, 20, 1, 2], "ipv4", /ipv4 at byte 6/],
  ["another IP version", [0x65, ...new Uint8Array(19)], "ipv4", /version 6/],
  ["a header length below 20", [0x44, ...new Uint8Array(19)], "ipv4", /header length 16/],
  ["a header length past the end", [0x4f, ...new Uint8Array(19)], "ipv4", /header length 60, only 20/],
  ["a total length inside the header", [0x45, 0, 0, 19, ...new Uint8Array(16)], "ipv4", /total length 19/],
  ["an IPv6 chain that ends in nothing", [0x60, 0, 0, 0, 0, 0, 0, 1, ...new Uint8Array(32)], "ipv6", /ipv6 at byte 40/],
];
for (const [why, bytes, start, reason] of MALFORMED)
  test(`dissect() ends in a malformed layer on ${why}`, () => {
    const last = dissect(Uint8Array.from(bytes), start).at(-1);
    assert.equal(last?.layer, "malformed");
    assert.match(last?.layer === "malformed" ? last.reason : "", reason);
  });

test("dissect() and summarise() take any bytes, and read none outside the frame", () => {
  const mutated = fc
    .record({
      frame: fc.constantFrom(...FRAMES),
      cut: fc.nat(200),
      damage: fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 6 }),
    })
    .map(({ frame: original, cut, damage }) => {
      const bytes = original.slice(0, Math.max(0, original.length - cut));
      for (const [at, value] of damage) if (at < bytes.length) bytes[at] = value;
      return bytes;
    });
  const start = fc.constantFrom("ethernet" as const, "ipv4" as const, "ipv6" as const);
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), start, (bytes, from) => {
      const layers = dissect(bytes, from);
      assert.match(layers.at(-1)?.layer ?? "", /^(payload|malformed)$/);
      assert.equal(typeof summarise(layers), "string");
      // The same bytes inside a larger buffer full of something else give the same layers.
      const island = new Uint8Array(bytes.length + 128).fill(0xa5);
      island.set(bytes, 64);
      assert.deepEqual(dissect(island.subarray(64, 64 + bytes.length), from), layers);
    }),
    { numRuns: 600 },
  );
});
