import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { malformation, packetMemory, TCP_FLAGS } from "./index.ts";
import { buildPacket, coalesce, cut, cutAgain, flowOf, largePacket, type PacketShape } from "./testing/trains.ts";

/** With what the kernel may choose anew: under DF the identification, and the header's checksum with it. */
function comparable(packet: Uint8Array): string {
  const copy = packet.slice();
  const { view } = packetMemory(copy);
  if ((view.getUint16(6) & 0x4000) !== 0) {
    // Taken out of the checksum, so that a wrong one stays a wrong one.
    const sum = (~view.getUint16(10) & 0xffff) - view.getUint16(4);
    view.setUint16(10, ~(sum < 0 ? sum - 1 : sum) & 0xffff);
    view.setUint16(4, 0);
  }
  return Buffer.from(copy).toString("hex");
}

function byFlow(packets: readonly Uint8Array[]): Map<string, string[]> {
  const flows = new Map<string, string[]>();
  for (const packet of packets) flows.set(flowOf(packet), [...(flows.get(flowOf(packet)) ?? []), comparable(packet)]);
  return flows;
}

/** Nothing is lost, changed, or overtaken in its flow. */
function assertSame(packets: readonly Uint8Array[]): void {
  assert.deepEqual(byFlow(cutAgain(coalesce(packets))), byFlow(packets));
}

/** The segments of `large` and what becomes of them. */
function segmentsOf(shape: PacketShape, segmentBytes: number): Uint8Array[] {
  return cut(buildPacket(shape), segmentBytes);
}

const SHAPE: PacketShape = {
  ...{ flow: 0, isTcp: true, tos: 0, ttl: 63, dontFragment: true, id: 7, sequence: 1000, acknowledgement: 5 },
  ...{ flags: TCP_FLAGS.ACK, window: 500, options: new Uint8Array(12), payload: new Uint8Array(4000).fill(0x61) },
};

describe("Coalescer", () => {
  it("makes the large packet again of its segments", () => {
    fc.assert(
      fc.property(largePacket, ({ shape, segmentBytes }) => {
        const large = buildPacket(shape);
        const emitted = coalesce(cut(large.slice(), segmentBytes));
        assert.equal(emitted.length, 1);
        assert.equal(emitted[0]?.segmentBytes, segmentBytes);
        // The checksum is partial; the rest is as it was.
        const field = shape.isTcp ? 36 : 26;
        for (const packet of [large, emitted[0]?.packet]) packet?.fill(0, field, field + 2);
        assert.deepEqual(emitted[0]?.packet, large);
      }),
    );
  });

  it("neither loses, changes nor reorders anything, whatever the trains, mixed and damaged", () => {
    const damage = fc.record({ packet: fc.nat(), bit: fc.nat(), what: fc.constantFrom("none", "header", "any") });
    fc.assert(
      fc.property(
        fc.array(largePacket, { minLength: 1, maxLength: 5 }),
        fc.array(fc.nat(), { maxLength: 40 }),
        fc.array(damage, { maxLength: 6 }),
        (trains, picks, damages) => {
          const queues = trains.map(({ shape, segmentBytes }) => segmentsOf(shape, segmentBytes));
          const packets: Uint8Array[] = [];
          for (const pick of picks) packets.push(...(queues[pick % queues.length]?.splice(0, 1 + (pick % 3)) ?? []));
          packets.push(...queues.flat());
          for (const { packet, bit, what } of damages) {
            const victim = packets[packet % packets.length];
            if (!victim || what === "none") continue;
            const at = bit % (8 * (what === "header" ? 60 : victim.length));
            if (at >> 3 < victim.length) victim[at >> 3] = (victim[at >> 3] ?? 0) ^ (1 << (at & 7));
          }
          assertSame(
            packets.filter((packet) => malformation(packetMemory(packet).view, 0, packet.length) === undefined),
          );
        },
      ),
      { numRuns: 500 },
    );
  });

  it("never throws on what only looks like a packet, and passes it on", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 20, maxLength: 80 }), { maxLength: 12 }), (packets) => {
        for (const packet of packets) {
          packet.set([0x45, 0, 0, packet.length], 0);
          packet[9] = (packet[9] ?? 0) & 1 ? 6 : 17;
          packet.fill(1, 12, 20);
        }
        assertSame(packets);
      }),
    );
  });

  const CHANGES: [what: string, change: Partial<PacketShape>][] = [
    ["another acknowledgement", { acknowledgement: 6 }],
    ["another window", { window: 501 }],
    ["another option", { options: new Uint8Array(12).fill(1) }],
    ["fewer options", { options: new Uint8Array() }],
    ["a gap in the sequence", { sequence: 2001 }],
    ["an overlap in the sequence", { sequence: 1999 }],
    ["SYN", { flags: TCP_FLAGS.ACK | TCP_FLAGS.SYN }],
    ["RST", { flags: TCP_FLAGS.ACK | TCP_FLAGS.RST }],
    ["URG", { flags: TCP_FLAGS.ACK | TCP_FLAGS.URG }],
    ["CWR", { flags: TCP_FLAGS.ACK | TCP_FLAGS.CWR }],
    ["ECE", { flags: TCP_FLAGS.ACK | TCP_FLAGS.ECE }],
    ["no ACK", { flags: 0 }],
    ["another TOS", { tos: 2 }],
    ["another TTL", { ttl: 62 }],
    ["no DF", { dontFragment: false }],
    ["another step of the identification", { id: 10 }],
    ["no payload", { payload: new Uint8Array() }],
    ["more payload than the first", { payload: new Uint8Array(1001) }],
  ];
  for (const [what, change] of CHANGES)
    it(`does not add a segment with ${what}`, () => {
      const first = { ...SHAPE, payload: SHAPE.payload.subarray(0, 1000) };
      const next = { ...first, id: 8, sequence: 2000 };
      assert.equal(coalesce([first, next].map(buildPacket)).length, 1, "but for that, it would be");
      const packets = [first, { ...next, ...change }].map(buildPacket);
      assert.equal(coalesce(packets).length, 2);
      assertSame(packets);
    });

  it("does not add a fragment, a packet with IP options, or one with bytes after its end", () => {
    const [first, next] = segmentsOf({ ...SHAPE, dontFragment: false }, 1000) as [Uint8Array, Uint8Array];
    const fragment = next.slice();
    fragment[6] = 0x20;
    const options = Uint8Array.from([...next.subarray(0, 20), 1, 1, 1, 0, ...next.subarray(20)]);
    options[0] = 0x46;
    options[3] = options.length & 0xff;
    options[2] = options.length >> 8;
    const trailing = Uint8Array.from([...next, 0, 0]);
    for (const other of [fragment, options, trailing])
      assert.deepEqual(
        coalesce([first, other]).map(({ packet }) => packet),
        [first, other],
      );
  });

  for (const [what, flag] of [
    ["PSH", TCP_FLAGS.PSH],
    ["FIN", TCP_FLAGS.FIN],
  ] as const)
    it(`ends a large packet with ${what}, which stays its last one's`, () => {
      const packets = [
        ...segmentsOf({ ...SHAPE, payload: SHAPE.payload.subarray(0, 2000), flags: TCP_FLAGS.ACK | flag }, 1000),
        ...segmentsOf({ ...SHAPE, payload: SHAPE.payload.subarray(0, 2000), sequence: 3000, id: 9 }, 1000),
      ];
      assert.deepEqual(
        coalesce(packets).map(({ packet }) => packet[33]),
        [TCP_FLAGS.ACK | flag, TCP_FLAGS.ACK],
      );
      assertSame(packets);
    });

  it("carries UDP datagrams without a checksum one by one", () => {
    const packets = segmentsOf({ ...SHAPE, isTcp: false }, 1000);
    assert.equal(coalesce(packets).length, 1);
    for (const packet of packets) packet.fill(0, 26, 28);
    assert.equal(coalesce(packets).length, packets.length);
  });

  it("leaves alone the protocol whose large packets the kernel does not take", () => {
    const packets = segmentsOf({ ...SHAPE, isTcp: false }, 1000);
    assert.equal(coalesce(packets, { tcp: true, udp: false }).length, packets.length);
  });

  it("stays below 64 KiB", () => {
    const packets = [0, 1].flatMap((half) =>
      segmentsOf({ ...SHAPE, sequence: half * 40_000, id: half * 40, payload: new Uint8Array(40_000) }, 1000),
    );
    const lengths = coalesce(packets).map(({ packet }) => packet.length);
    assert.ok(Math.max(...lengths) <= 0xffff && lengths.length === 2, `${lengths}`);
    assertSame(packets);
  });
});
