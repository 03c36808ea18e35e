import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  checkTransport,
  decodeIpv4,
  decodeTcp,
  decodeUdp,
  headerBytesOf,
  internetChecksum,
  packetMemory,
  segmentCount,
  TCP_FLAGS,
} from "./index.ts";
import { buildPacket, cut, largePacket } from "./testing/trains.ts";

describe("segmentPacket()", () => {
  it("gives sound packets whose payloads are the large one's, in order", () => {
    fc.assert(
      fc.property(largePacket, ({ shape, segmentBytes }) => {
        const large = buildPacket(shape);
        const { view } = packetMemory(large);
        const count = segmentCount(view, 0, large.length, segmentBytes);
        const packets = cut(large.slice(), segmentBytes);
        assert.equal(packets.length, count);
        const payloads = packets.flatMap((bytes, n) => {
          const ip = decodeIpv4(bytes);
          const isLast = n === count - 1;
          assert.equal(internetChecksum(bytes.subarray(0, 20)), 0);
          assert.equal(ip.identification, (shape.id + n) & 0xffff);
          for (const field of ["tos", "ttl", "dontFragment"] as const) assert.equal(ip[field], shape[field]);
          const { checksum, payload } = shape.isTcp ? decodeTcp(ip.payload) : decodeUdp(ip.payload);
          assert.equal(checkTransport(ip.payload, checksum ?? 0, ip, ip.protocol), "valid");
          if (!isLast) assert.equal(payload.length, segmentBytes);
          if (shape.isTcp) {
            const transport = decodeTcp(ip.payload);
            assert.equal(transport.sequence, (shape.sequence + n * segmentBytes) >>> 0);
            assert.equal(transport.flags, isLast ? shape.flags : TCP_FLAGS.ACK);
            for (const field of ["acknowledgement", "window", "options"] as const)
              assert.deepEqual(transport[field], shape[field]);
          }
          return [payload];
        });
        assert.deepEqual(Buffer.concat(payloads), Buffer.from(shape.payload));
      }),
    );
  });

  it("leaves CWR to the first segment alone (RFC 3168 §6.1.2)", () => {
    const flags = TCP_FLAGS.ACK | TCP_FLAGS.CWR | TCP_FLAGS.ECE;
    const [{ shape, segmentBytes }] = fc.sample(largePacket, { seed: 1, numRuns: 1 }) as [never];
    const packets = cut(buildPacket({ ...(shape as object), isTcp: true, flags } as never), segmentBytes);
    const found = packets.map((bytes) => decodeTcp(decodeIpv4(bytes).payload).flags);
    assert.deepEqual(found, [flags, ...found.slice(1).map(() => TCP_FLAGS.ACK | TCP_FLAGS.ECE)]);
  });

  it("is not asked for what is no TCP or UDP, has no payload, or is cut finer than anyone does", () => {
    const [{ shape }] = fc.sample(largePacket, { seed: 1, numRuns: 1 }) as [never];
    const packet = buildPacket(shape);
    const { view } = packetMemory(packet);
    const headerBytes = headerBytesOf(view, 0, packet.length);
    assert.ok(headerBytes > 0);
    assert.equal(segmentCount(view, 0, packet.length, 7), 0);
    assert.equal(segmentCount(view, 0, headerBytes, 100), 0);
    for (let length = 0; length < headerBytes; length++) assert.equal(headerBytesOf(view, 0, length), 0);
    view.setUint8(9, 47);
    assert.equal(segmentCount(view, 0, packet.length, 100), 0);
  });
});
