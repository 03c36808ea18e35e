import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Ipv4Address, type Ipv6Address, ipFromBytes, type MacAddress, macFromBytes } from "../netip/index.ts";
import { decodeArp, encodeArp } from "./arp.ts";
import { internetChecksum, onesSum } from "./checksum.ts";
import { DecodeError } from "./errors.ts";
import { decodeEthernet, encodeEthernet } from "./ethernet.ts";
import { decodeIcmp, encodeIcmp } from "./icmp.ts";
import { decodeIcmpv6, encodeIcmpv6 } from "./icmpv6.ts";
import { decodeIpv4, encodeIpv4 } from "./ipv4.ts";
import { decodeIpv6, encodeIpv6, fragmentOf } from "./ipv6.ts";
import { decodeTcp, encodeTcp, formatTcpFlags, formatTcpOptions } from "./tcp.ts";
import { goldenCaptures } from "./testing/golden.ts";
import { decodeUdp, encodeUdp } from "./udp.ts";
import { decodeVxlan, encodeVxlan } from "./vxlan.ts";

const u8 = fc.nat(0xff);
const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffffffff);
const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const payload = fc.uint8Array({ maxLength: 80 });
const words = fc.nat(10).chain((n) => bytes(4 * n));
const mac = bytes(6).map(macFromBytes) as fc.Arbitrary<MacAddress>;
const ip4 = bytes(4).map(ipFromBytes) as fc.Arbitrary<Ipv4Address>;
const ip6 = bytes(16).map(ipFromBytes) as fc.Arbitrary<Ipv6Address>;
const icmp = fc.record({ type: u8, code: u8, checksum: u16, rest: u32, payload });
const addresses = { source: "10.0.0.1" as Ipv4Address, destination: "10.0.0.2" as Ipv4Address };

/** A Hop-by-hop or Destination header of `units` further eight bytes, or a Fragment header. */
const extension = fc.tuple(fc.constantFrom(0, 44, 60), fc.nat(2)).chain(([protocol, units]) =>
  bytes(protocol === 44 ? 8 : 8 * (units + 1)).map((raw) => {
    if (protocol === 44) raw.set([0, 0, 0, 1]);
    else raw[1] = units;
    return { protocol, bytes: raw };
  }),
);

interface Codec {
  readonly name: string;
  readonly values: fc.Arbitrary<object>;
  readonly encode: (value: never) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => object;
}
const CODECS: readonly Codec[] = [
  {
    name: "ethernet",
    values: fc.record({ destination: mac, source: mac, etherType: u16, payload }),
    encode: encodeEthernet,
    decode: decodeEthernet,
  },
  {
    name: "arp",
    values: fc.record({ operation: u16, senderMac: mac, senderIp: ip4, targetMac: mac, targetIp: ip4 }),
    encode: encodeArp,
    decode: decodeArp,
  },
  {
    name: "ipv4",
    values: fc.record({
      tos: u8,
      identification: u16,
      reserved: fc.boolean(),
      dontFragment: fc.boolean(),
      moreFragments: fc.boolean(),
      fragmentOffset: fc.nat(0x1fff).map((n) => n * 8),
      ttl: u8,
      protocol: u8,
      checksum: u16,
      source: ip4,
      destination: ip4,
      options: words,
      payload,
    }),
    encode: encodeIpv4,
    decode: decodeIpv4,
  },
  {
    name: "ipv6",
    values: fc
      .record({
        trafficClass: u8,
        flowLabel: fc.nat(0xfffff),
        hopLimit: u8,
        source: ip6,
        destination: ip6,
        extensions: fc.array(extension, { maxLength: 3 }),
        protocol: fc.constantFrom(6, 17, 58, 59),
        payload,
      })
      // The decoder gives each extension's first byte as the chain has it.
      .map((packet) => ({
        ...packet,
        extensions: packet.extensions.map((header, i, all) => ({
          ...header,
          bytes: Uint8Array.of(all[i + 1]?.protocol ?? packet.protocol, ...header.bytes.subarray(1)),
        })),
      })),
    encode: encodeIpv6,
    decode: decodeIpv6,
  },
  { name: "icmp", values: icmp, encode: encodeIcmp, decode: decodeIcmp },
  {
    name: "icmpv6",
    values: icmp,
    encode: (value) => encodeIcmpv6(value, addresses),
    decode: decodeIcmpv6,
  },
  {
    name: "udp",
    values: fc.record({ sourcePort: u16, destinationPort: u16, checksum: u16, payload }),
    encode: encodeUdp,
    decode: decodeUdp,
  },
  {
    name: "tcp",
    values: fc.record({
      sourcePort: u16,
      destinationPort: u16,
      sequence: u32,
      acknowledgement: u32,
      flags: fc.nat(0xfff),
      window: u16,
      checksum: u16,
      urgent: u16,
      options: words,
      payload,
    }),
    encode: encodeTcp,
    decode: decodeTcp,
  },
  {
    name: "vxlan",
    values: fc.record({ flags: u8.map((n) => n | 8), vni: fc.nat(0xffffff), payload }),
    encode: encodeVxlan,
    decode: decodeVxlan,
  },
];

for (const { name, values, encode, decode } of CODECS) {
  test(`${name}: decode gives back what encode was given`, () => {
    fc.assert(fc.property(values, (value) => assert.deepEqual(decode(encode(value as never)), { ...value })));
  });

  test(`${name}: every cut of a header is a DecodeError that says where, and nothing outside is read`, () => {
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (value, part) => {
        const whole = encode(value as never);
        const cut = Math.floor(part * whole.length);
        // What follows in memory is a header's worth of plausible bytes; reading on would find them.
        const island = new Uint8Array([...whole.subarray(0, cut), ...whole, ...whole]);
        try {
          const read = decode(island.subarray(0, cut));
          assert.deepEqual(decode(whole.slice(0, cut)), read);
        } catch (error) {
          assert.ok(error instanceof DecodeError, String(error));
          assert.equal(error.layer, name);
          assert.ok(error.offset <= cut, `offset ${error.offset} of ${cut}`);
        }
      }),
    );
  });

  test(`${name}: any bytes either decode or give a DecodeError`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (hostile) => {
        try {
          decode(hostile);
        } catch (error) {
          assert.ok(error instanceof DecodeError, String(error));
        }
      }),
    );
  });
}

test("the kernel's frames survive decode and encode byte by byte", () => {
  const frames = goldenCaptures().flatMap((capture) => capture.frames);
  let transports = 0;
  for (const frame of frames) {
    const ethernet = decodeEthernet(frame);
    assert.deepEqual(encodeEthernet(ethernet), frame);
    if (ethernet.etherType === 0x0806) {
      assert.deepEqual(encodeArp(decodeArp(ethernet.payload)), ethernet.payload);
      continue;
    }
    const isV6 = ethernet.etherType === 0x86dd;
    const ip = isV6 ? decodeIpv6(ethernet.payload) : decodeIpv4(ethernet.payload);
    if ("options" in ip) assert.deepEqual(encodeIpv4(ip), ethernet.payload);
    else assert.deepEqual(encodeIpv6(ip), ethernet.payload);
    if ("fragmentOffset" in ip && (ip.fragmentOffset > 0 || ip.moreFragments)) continue;
    if ("extensions" in ip && fragmentOf(ip.extensions)) continue;
    const codec = CODECS.find(({ name }) => name === { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6" }[ip.protocol]);
    assert.ok(codec);
    assert.deepEqual(codec.encode(codec.decode(ip.payload) as never), ip.payload);
    transports++;
  }
  assert.ok(transports > 50, `${transports} transports`);
});

test("checksums left out are computed as the kernel computes them", () => {
  for (const { name, frames } of goldenCaptures()) {
    for (const frame of frames.filter(() => name === "icmp" || name === "icmpv6")) {
      const { etherType, payload: packet } = decodeEthernet(frame);
      if (etherType === 0x0800) {
        const { checksum, ...ip } = decodeIpv4(packet);
        assert.deepEqual(encodeIpv4(ip), packet);
        const { checksum: inner, ...message } = decodeIcmp(ip.payload);
        assert.deepEqual(encodeIcmp(message), ip.payload);
        assert.ok(checksum !== undefined && inner !== undefined);
      } else {
        const ip = decodeIpv6(packet);
        const { checksum, ...message } = decodeIcmpv6(ip.payload);
        assert.deepEqual(encodeIcmpv6(message, ip), ip.payload);
        assert.ok(checksum !== undefined);
      }
    }
  }
});

test("internetChecksum() gives RFC 1071's own example, and makes what holds it sum to ffff", () => {
  assert.equal(onesSum(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7)), 0xddf2);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 2, maxLength: 2000 }), (data) => {
      data.set([0, 0]);
      const sum = internetChecksum(data);
      data.set([sum >> 8, sum & 0xff]);
      assert.equal(onesSum(data), 0xffff);
    }),
  );
});

test("encodeUdp() never sends a computed zero, which would mean none", () => {
  // Chosen so that the sum comes out as ffff, whose complement is zero.
  const udp = { sourcePort: 0, destinationPort: 0, payload: new Uint8Array(2) };
  const without = decodeUdp(encodeUdp(udp, addresses));
  const fill = without.checksum ?? 0;
  const exact = encodeUdp({ ...udp, payload: Uint8Array.of(fill >> 8, fill & 0xff) }, addresses);
  assert.equal(decodeUdp(exact).checksum, 0xffff);
});

test("encoders refuse what the format cannot hold", () => {
  const ip = decodeIpv4(decodeEthernet(goldenCaptures().find((c) => c.name === "icmp")?.frames[0] ?? bytes0).payload);
  assert.throws(() => encodeIpv4({ ...ip, options: new Uint8Array(3) }), /IPv4 options of 3 bytes/);
  assert.throws(() => encodeIpv4({ ...ip, payload: new Uint8Array(65536) }), /65556 bytes: the limit is 65535/);
  assert.throws(() => encodeIpv4({ ...ip, fragmentOffset: 4 }), /fragment offset 4/);
  assert.throws(() => encodeUdp({ sourcePort: 1, destinationPort: 1, payload: new Uint8Array(65530) }), /65538 bytes/);
});
const bytes0 = new Uint8Array();

test("formatTcpFlags() and formatTcpOptions() write as tcpdump does, and survive nonsense", () => {
  assert.equal(formatTcpFlags(0x12), "S.");
  assert.equal(formatTcpFlags(0), "none");
  assert.equal(formatTcpFlags(0xff), "FSRP.UEW");
  assert.equal(
    formatTcpOptions(Uint8Array.of(5, 18, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 20, 0, 0, 0, 30)),
    "sack 2 {1:9}{20:30}",
  );
  assert.equal(formatTcpOptions(Uint8Array.of(1, 99, 3, 0, 0, 7)), "nop,unknown-99,eol");
  assert.equal(formatTcpOptions(Uint8Array.of(2)), "bad option 2");
  assert.equal(formatTcpOptions(Uint8Array.of(2, 0)), "bad option 2");
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (raw) => typeof formatTcpOptions(raw) === "string"));
});
