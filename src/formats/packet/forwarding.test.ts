import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ipFromBytes } from "../netip/index.ts";
import {
  checkTransport,
  completeChecksum,
  decodeIcmp,
  decodeIpv4,
  decodeVirtioNetHeader,
  decrementTtl,
  encodeIpv4,
  encodeVirtioNetHeader,
  foldSum,
  internetChecksum,
  malformation,
  onesSum,
  packetMemory,
  pseudoSum,
  sumBytes,
  swap16,
  UNREACHABLE_MAX_BYTES,
  writeNetUnreachable,
} from "./index.ts";
import { buildPacket, largePacket } from "./testing/trains.ts";

const packet = largePacket.map(({ shape }) => buildPacket({ ...shape, payload: shape.payload.subarray(0, 99) }));

describe("sumBytes()", () => {
  it("is RFC 1071's sum, at every offset and of every length", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(40), (bytes, start) => {
        const offset = Math.min(start, bytes.length);
        const { view } = packetMemory(bytes);
        const sum = swap16(foldSum(sumBytes(view, offset, bytes.length - offset)));
        assert.equal(sum, onesSum(bytes.subarray(offset)));
      }),
    );
  });

  it("loses no carry in the largest packet there is", () => {
    const bytes = new Uint8Array(0xffff).fill(0xff);
    assert.equal(foldSum(1000 * sumBytes(packetMemory(bytes).view, 0, 0xfffe)), 0xffff);
  });
});

describe("decrementTtl()", () => {
  it("patches the checksum to what it would be anew, and leaves a wrong one wrong", () => {
    fc.assert(
      fc.property(packet, fc.boolean(), (bytes, isDamaged) => {
        if (isDamaged) bytes[10] = (bytes[10] ?? 0) ^ 0x80;
        const { view } = packetMemory(bytes);
        const ttl = view.getUint8(8);
        const before = bytes.slice();
        const goesOn = decrementTtl(view, 0);
        assert.equal(goesOn, ttl > 1);
        if (!goesOn) return assert.deepEqual(bytes, before);
        assert.equal(view.getUint8(8), ttl - 1);
        assert.equal(internetChecksum(bytes.subarray(0, 20)) === 0, !isDamaged);
      }),
    );
  });

  it("does so for every checksum there is", () => {
    const { view, bytes } = packetMemory(
      encodeIpv4(decodeIpv4(fc.sample(packet, { seed: 2, numRuns: 1 })[0] as never)),
    );
    for (let id = 0; id < 0x1_0000; id++) {
      view.setUint8(8, 64);
      view.setUint16(4, id);
      view.setUint16(10, 0);
      view.setUint16(10, internetChecksum(bytes.subarray(0, 20)));
      assert.ok(decrementTtl(view, 0));
      assert.equal(onesSum(bytes.subarray(0, 20)), 0xffff, `${id}`);
    }
  });
});

describe("completeChecksum()", () => {
  it("makes of the pseudo header's sum what the sender would have computed", () => {
    fc.assert(
      fc.property(packet, (bytes) => {
        const ip = decodeIpv4(bytes);
        const field = ip.protocol === 6 ? 16 : 6;
        const { view } = packetMemory(bytes);
        view.setUint16(20 + field, pseudoSum(ip, ip.protocol, ip.payload.length));
        completeChecksum(view, 20, field, bytes.length);
        const found = view.getUint16(20 + field);
        assert.equal(checkTransport(decodeIpv4(bytes).payload, found, ip, ip.protocol), "valid");
        assert.notEqual(found, 0);
      }),
    );
  });
});

describe("malformation()", () => {
  const header = (...changes: [at: number, value: number][]): Uint8Array => {
    const bytes = new Uint8Array(28);
    bytes.set([0x45, 0, 0, 28]);
    for (const [at, value] of changes) bytes[at] = value;
    return bytes;
  };
  for (const [bytes, expected] of [
    [header(), undefined],
    [header([3, 20]), undefined],
    [header().subarray(0, 19), "short"],
    [new Uint8Array(), "short"],
    [header([0, 0x65]), "version"],
    [header([0, 0x44]), "header-length"],
    [header([0, 0x4f]), "header-length"],
    [header([3, 29]), "total-length"],
    [header([3, 19]), "total-length"],
    [header([2, 0xff]), "total-length"],
  ] as const)
    it(`says ${expected ?? "nothing"} of ${Buffer.from(bytes).toString("hex").slice(0, 8)}, ${bytes.length} bytes`, () => {
      assert.equal(malformation(packetMemory(bytes.slice()).view, 0, bytes.length), expected);
    });
});

describe("writeNetUnreachable()", () => {
  const answer = (bytes: Uint8Array): Uint8Array => {
    const memory = packetMemory(new Uint8Array(bytes.length + UNREACHABLE_MAX_BYTES).fill(0xee));
    memory.bytes.set(bytes);
    const source = new DataView(Uint8Array.of(10, 244, 1, 0).buffer).getUint32(0, true);
    const length = writeNetUnreachable(memory, 0, bytes.length, source);
    return memory.bytes.subarray(bytes.length, bytes.length + length);
  };

  it("answers with type 3 code 0, TTL 8, the header and eight bytes, all checksums right", () => {
    fc.assert(
      fc.property(packet, (bytes) => {
        const reply = answer(bytes);
        const ip = decodeIpv4(reply);
        assert.equal(internetChecksum(reply.subarray(0, 20)), 0);
        assert.deepEqual(
          { ...ip, payload: 0, checksum: 0, options: 0 },
          {
            ...{ tos: 0, identification: 0, reserved: false, dontFragment: false, moreFragments: false },
            ...{ fragmentOffset: 0, ttl: 8, protocol: 1, checksum: 0, options: 0, payload: 0 },
            ...{ source: "10.244.1.0", destination: ipFromBytes(bytes.subarray(12, 16)) },
          },
        );
        assert.equal(internetChecksum(ip.payload), 0);
        const { type, code, rest, payload } = decodeIcmp(ip.payload);
        assert.deepEqual([type, code, rest], [3, 0, 0]);
        assert.deepEqual(payload, bytes.subarray(0, 28));
      }),
    );
  });

  it("is silent about ICMP, fragments but the first, and multicast", () => {
    const [bytes] = fc.sample(packet, { seed: 3, numRuns: 1 }) as [Uint8Array];
    const with_ = (at: number, value: number): Uint8Array => {
      const copy = bytes.slice();
      copy[at] = value;
      return copy;
    };
    assert.equal(answer(with_(9, 1)).length, 0);
    assert.equal(answer(with_(7, 1)).length, 0);
    assert.equal(answer(with_(16, 224)).length, 0);
    assert.ok(answer(with_(6, 0x20)).length > 0, "the first fragment has the ports");
  });
});

describe("virtio-net headers", () => {
  it("round-trip", () => {
    const [u8, u16] = [fc.nat(0xff), fc.nat(0xffff)];
    const header = fc.record({
      ...{ flags: u8, gsoType: u8, headerBytes: u16, gsoBytes: u16, checksumStart: u16, checksumOffset: u16 },
    });
    fc.assert(
      fc.property(header, (wanted) => {
        const view = new DataView(new ArrayBuffer(10));
        encodeVirtioNetHeader(view, 0, wanted);
        assert.deepEqual(decodeVirtioNetHeader(view, 0), { ...wanted });
      }),
    );
  });
});
