// The way into the tunnel, in the order of a packet's journey: read from the TUN device, looked at, its node looked up,
// a hop less to live, its checksum finished or cut into packets that fit, and sent, many by one call.
import {
  completeChecksum,
  decrementTtl,
  headerBytesOf,
  malformation,
  type PacketMemory,
  packetMemory,
  type SegmentSink,
  segmentCount,
  segmentPacket,
  UNREACHABLE_MAX_BYTES,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_UDP_L4,
  VIRTIO_NET_HEADER_BYTES,
  writeNetUnreachable,
} from "../../../formats/packet/index.ts";
import {
  DatagramBatch,
  errnoCode,
  IoVectors,
  type MappedMemory,
  mapMemory,
  type SendReport,
  type Tun,
} from "../../../kernel/index.ts";
import type { Counters } from "./counters.ts";
import type { PeerTable } from "./peer-table.ts";

const [EINTR, EAGAIN] = [4, 11];
/** A packet of the largest size, with its virtio-net header, so placed that the packet itself is aligned. */
const SLOT_BYTES = 0x1_0040;
const PADDING = 16 - VIRTIO_NET_HEADER_BYTES;
const PACKETS_BYTES = 0x8_0000;
const HEADERS_BYTES = 0x4_0000;
/** Answers to the senders: a virtio-net header of zeros, and a packet. */
const REPLY = PACKETS_BYTES + HEADERS_BYTES;
/** After so many packets the other direction has its turn; after so many bytes the network card might as well begin. */
const [MAX_PACKETS, MAX_BYTES] = [256, 0x4_0000];

export interface Route {
  readonly peers: PeerTable;
  readonly port: number;
  /** The TUN device's address, to be read little-endian. */
  readonly tunAddress: number;
}

/** What came of reading: nothing more, more to be read later, or a device that is not there any more. */
export type Drained = "empty" | "more" | "gone";

export class Outgoing implements SegmentSink, SendReport {
  readonly #counters: Counters;
  readonly #mapped: MappedMemory = mapMemory(REPLY + VIRTIO_NET_HEADER_BYTES + UNREACHABLE_MAX_BYTES);
  readonly #memory: PacketMemory = packetMemory(this.#mapped.bytes);
  readonly #batch: DatagramBatch = new DatagramBatch(this.#mapped);
  readonly #reply: IoVectors = new IoVectors(this.#mapped, 1);
  /** Where the next packet, and the next segment's header, may go. */
  #free = 0;
  #freeHeader = PACKETS_BYTES;
  #pendingBytes = 0;
  #node = 0;
  #port = 0;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /** @param socket the UDP socket's descriptor */
  drain(tun: Tun, socket: number, route: Route): Drained {
    this.#port = route.port;
    let drained: Drained = "more";
    for (let packets = 0; packets < MAX_PACKETS; packets++) {
      if (this.#free + SLOT_BYTES > PACKETS_BYTES || this.#pendingBytes > MAX_BYTES) this.#send(socket);
      const at = this.#free + PADDING;
      const length = tun.read(this.#mapped.address + at, SLOT_BYTES - PADDING);
      if (length === -EINTR) continue;
      if (length < 0) {
        drained = length === -EAGAIN ? "empty" : "gone";
        break;
      }
      this.#free = (at + length + 15) & ~15;
      this.#forward(at, length, tun, socket, route);
    }
    this.#send(socket);
    return drained;
  }

  #forward(header: number, bytes: number, tun: Tun, socket: number, route: Route): void {
    const { view } = this.#memory;
    const ip = header + VIRTIO_NET_HEADER_BYTES;
    const length = bytes - VIRTIO_NET_HEADER_BYTES;
    const gsoType = view.getUint8(header + 1) & 0x7f;
    const gsoBytes = view.getUint16(header + 4, true);
    const why = malformation(view, ip, length);
    if (why !== undefined) {
      const isIpv6 = why === "version" && view.getUint8(ip) >> 4 === 6;
      this.#counters.drop(isIpv6 ? "tx-ipv6" : `tx-malformed-${why}`);
      return;
    }
    const packets = gsoType === VIRTIO_NET_HDR_GSO_NONE ? 1 : segmentCount(view, ip, length, gsoBytes);
    if (packets === 0 || !isKnownGso(gsoType) || packets * headerBytesOf(view, ip, length) > HEADERS_BYTES) {
      this.#counters.drop("tx-malformed-gso");
      return;
    }
    this.#node = route.peers.lookUp(view.getInt32(ip + 16));
    if (this.#node < 0) {
      this.#counters.drop("tx-no-route", packets);
      this.#refuse(ip, tun, route.tunAddress);
      return;
    }
    if (!decrementTtl(view, ip)) {
      this.#counters.drop("tx-ttl", packets);
      return;
    }
    const headers = gsoType === VIRTIO_NET_HDR_GSO_NONE ? 0 : packets * headerBytesOf(view, ip, length);
    if (!this.#batch.hasRoom(packets, length + headers) || this.#freeHeader + headers > REPLY) this.#sendBatch(socket);
    this.#pendingBytes += length;
    if (headers > 0) {
      segmentPacket(this.#memory, ip, length, gsoBytes, this.#freeHeader, this);
      this.#freeHeader += headers;
      return;
    }
    if ((view.getUint8(header) & VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0) {
      const [start, field] = [view.getUint16(header + 6, true), view.getUint16(header + 8, true)];
      if (start + field + 2 > length) {
        this.#counters.drop("tx-malformed-checksum");
        return;
      }
      completeChecksum(view, ip + start, field, ip + length);
    }
    this.#batch.append(this.#node, this.#port, ip, length, ip, 0);
  }

  segment(header: number, headerBytes: number, payload: number, payloadBytes: number): void {
    this.#batch.append(this.#node, this.#port, header, headerBytes, payload, payloadBytes);
  }

  #send(socket: number): void {
    this.#sendBatch(socket);
    this.#free = 0;
  }

  #sendBatch(socket: number): void {
    if (!this.#batch.isEmpty) this.#batch.send(socket, this);
    this.#freeHeader = PACKETS_BYTES;
    this.#pendingBytes = 0;
  }

  sent(datagrams: number, bytes: number): void {
    this.#counters.txPackets += datagrams;
    this.#counters.txBytes += bytes;
  }

  failed(errno: number, datagrams: number): void {
    this.#counters.drop(`tx-send-${errnoCode(errno)}`, datagrams);
  }

  /** Tells the sender that nobody has this address. */
  #refuse(ip: number, tun: Tun, tunAddress: number): void {
    const length = writeNetUnreachable(this.#memory, ip, REPLY + VIRTIO_NET_HEADER_BYTES, tunAddress);
    if (length === 0) return;
    this.#reply.clear();
    this.#reply.push(REPLY, VIRTIO_NET_HEADER_BYTES + length);
    tun.write(this.#reply);
  }
}

function isKnownGso(type: number): boolean {
  return type === VIRTIO_NET_HDR_GSO_NONE || type === VIRTIO_NET_HDR_GSO_TCPV4 || type === VIRTIO_NET_HDR_GSO_UDP_L4;
}
