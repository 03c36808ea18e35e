import fc from "fast-check";
import { parseIpv4 } from "../../netip/index.ts";
import {
  type CoalescedPacket,
  Coalescer,
  encodeIpv4,
  encodeTcp,
  encodeUdp,
  headerBytesOf,
  IPPROTO_TCP,
  IPPROTO_UDP,
  packetMemory,
  segmentPacket,
  TCP_FLAGS,
} from "../index.ts";

/** A packet of one of few flows, whole and with right checksums. */
export interface PacketShape {
  readonly flow: number;
  readonly isTcp: boolean;
  readonly tos: number;
  readonly ttl: number;
  readonly dontFragment: boolean;
  readonly id: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly flags: number;
  readonly window: number;
  readonly options: Uint8Array;
  readonly payload: Uint8Array;
}

const [SOURCE, DESTINATION] = [parseIpv4("10.244.1.2"), parseIpv4("10.244.2.3")];

export function buildPacket(shape: PacketShape): Uint8Array {
  const addresses = { source: SOURCE, destination: DESTINATION };
  const ports = { sourcePort: 40_000 + shape.flow, destinationPort: 5201 };
  const { sequence, acknowledgement, flags, window, options, payload } = shape;
  const tcp = { ...ports, sequence, acknowledgement, flags, window, urgent: 0, options, payload };
  return encodeIpv4({
    ...addresses,
    tos: shape.tos,
    identification: shape.id,
    ...{ reserved: false, dontFragment: shape.dontFragment, moreFragments: false, fragmentOffset: 0 },
    ttl: shape.ttl,
    protocol: shape.isTcp ? IPPROTO_TCP : IPPROTO_UDP,
    options: new Uint8Array(),
    payload: shape.isTcp ? encodeTcp(tcp, addresses) : encodeUdp({ ...ports, payload }, addresses),
  });
}

/** Large packets, as a kernel hands them over, with the size to cut them to. */
export const largePacket: fc.Arbitrary<{ shape: PacketShape; segmentBytes: number }> = fc
  .record({
    flow: fc.nat(3),
    isTcp: fc.boolean(),
    tos: fc.constantFrom(0, 2, 0x10, 0xb8),
    ttl: fc.integer({ min: 1, max: 255 }),
    dontFragment: fc.boolean(),
    id: fc.oneof(fc.nat(0xffff), fc.constantFrom(0xfffe, 0xffff)),
    sequence: fc.oneof(fc.nat(0xffff_ffff), fc.constantFrom(0xffff_fff0, 0xffff_ffff)),
    acknowledgement: fc.nat(0xffff_ffff),
    flags: fc.constantFrom(TCP_FLAGS.ACK, TCP_FLAGS.ACK | TCP_FLAGS.PSH, TCP_FLAGS.ACK | TCP_FLAGS.FIN),
    window: fc.nat(0xffff),
    options: fc.constantFrom(0, 12, 40).map((length) => Uint8Array.from({ length }, (_, i) => 0xc0 + i)),
    seed: fc.nat(255),
    segmentBytes: fc.integer({ min: 8, max: 1448 }),
    segments: fc.integer({ min: 2, max: 40 }),
    lastBytes: fc.integer({ min: 1, max: 1448 }),
  })
  .map(({ seed, segmentBytes, segments, lastBytes, ...shape }) => {
    const length = segmentBytes * (segments - 1) + Math.min(lastBytes, segmentBytes);
    const payload = Uint8Array.from({ length }, (_, i) => (i * 31 + seed + (i >> 8)) & 0xff);
    return { shape: { ...shape, payload }, segmentBytes };
  });

/** The segments that segmentPacket() makes of a packet, as packets. */
export function cut(packet: Uint8Array, payloadBytes: number): Uint8Array[] {
  const headers = 16 + packet.length;
  const memory = packetMemory(new Uint8Array(headers + 120 * (2 + packet.length / payloadBytes)));
  memory.bytes.set(packet, 16);
  const packets: Uint8Array[] = [];
  segmentPacket(memory, 16, packet.length, payloadBytes, headers, {
    segment: (header, headerBytes, payload, length) => {
      const segment = new Uint8Array(headerBytes + length);
      segment.set(memory.bytes.subarray(header, header + headerBytes));
      segment.set(memory.bytes.subarray(payload, payload + length), headerBytes);
      packets.push(segment);
    },
  });
  return packets;
}

export type Emitted = { readonly packet: Uint8Array; readonly segmentBytes?: number };

/** What a Coalescer makes of packets that arrive in one batch. */
export function coalesce(packets: readonly Uint8Array[], protocols = { tcp: true, udp: true }): Emitted[] {
  const memory = packetMemory(new Uint8Array(packets.reduce((sum, { length }) => sum + length, 0)));
  const emitted: Emitted[] = [];
  const coalescer = new Coalescer(
    memory,
    {
      packet: (ip, length) => void emitted.push({ packet: memory.bytes.slice(ip, ip + length) }),
      coalesced: (large) =>
        void emitted.push({ packet: gather(memory.bytes, large), segmentBytes: large.segmentBytes }),
    },
    protocols,
  );
  // All in place before the first is looked at, so that whoever reads past an end reads another packet.
  let at = 0;
  for (const packet of packets) {
    memory.bytes.set(packet, at);
    at += packet.length;
  }
  at = 0;
  for (const packet of packets) {
    coalescer.add(at, packet.length);
    at += packet.length;
  }
  coalescer.flush();
  return emitted;
}

function gather(
  bytes: Uint8Array,
  { ip, headerBytes, totalBytes, count, payloads, lengths }: CoalescedPacket,
): Uint8Array {
  const packet = new Uint8Array(totalBytes);
  packet.set(bytes.subarray(ip, ip + headerBytes));
  let at = headerBytes;
  for (let i = 0; i < count; i++) {
    const [payload, length] = [payloads[i] ?? 0, lengths[i] ?? 0];
    packet.set(bytes.subarray(payload, payload + length), at);
    at += length;
  }
  return packet;
}

/** The packets that the kernel makes of what it was given. */
export function cutAgain(emitted: readonly Emitted[]): Uint8Array[] {
  return emitted.flatMap(({ packet, segmentBytes }) =>
    segmentBytes === undefined ? [packet] : cut(packet.slice(), segmentBytes),
  );
}

/** The packets' flows: equal for packets whose order matters. */
export function flowOf(packet: Uint8Array): string {
  const view = packetMemory(packet).view;
  const isWhole = (view.getUint16(6) & 0x3fff) === 0 && headerBytesOf(view, 0, packet.length) > 0;
  const header = ((packet[0] ?? 0) & 15) * 4;
  return `${packet.subarray(12, 20)} ${isWhole ? `${packet[9]} ${packet.subarray(header, header + 4)}` : "-"}`;
}
