// The way out of the tunnel, in the order of a packet's journey: received, many by one call, told apart, looked at, a
// hop less to live, put together again with those of its flow, and written to the TUN device.
import {
  type CoalescedPacket,
  Coalescer,
  type CoalescingSink,
  decrementTtl,
  encodeVirtioNetHeader,
  IPPROTO_TCP,
  IPV4_HEADER_BYTES,
  malformation,
  packetMemory,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_UDP_L4,
  VIRTIO_NET_HEADER_BYTES,
} from "../../../formats/packet/index.ts";
import { DatagramInbox, errnoCode, IoVectors, type MappedMemory, mapMemory, type Tun } from "../../../kernel/index.ts";
import type { Counters } from "./counters.ts";

const EIO = 5;
const [SLOTS, SLOT_BYTES] = [8, 0x1_0000];
/** A virtio-net header of zeros, for packets as they are, and one to fill in. */
const PLAIN_HEADER = SLOTS * SLOT_BYTES;
const LARGE_HEADER = PLAIN_HEADER + 16;
/** The header, the first packet's headers, and the payloads. */
const MAX_PIECES = 2 + 64;
/** After so many calls the other direction has its turn. */
const MAX_CALLS = 4;

/** This node's subnet; both numbers as getInt32() reads them. */
export interface OwnSubnet {
  readonly network: number;
  readonly mask: number;
}

export class Incoming implements CoalescingSink {
  readonly #counters: Counters;
  readonly #mapped: MappedMemory = mapMemory(LARGE_HEADER + 16);
  readonly #view: DataView;
  readonly #inbox: DatagramInbox = new DatagramInbox(this.#mapped, 0, SLOTS, SLOT_BYTES);
  readonly #pieces: IoVectors = new IoVectors(this.#mapped, MAX_PIECES);
  readonly #tun: Tun;
  readonly #coalescer: Coalescer;

  constructor(tun: Tun, counters: Counters) {
    this.#counters = counters;
    this.#tun = tun;
    const memory = packetMemory(this.#mapped.bytes);
    this.#view = memory.view;
    this.#coalescer = new Coalescer(memory, this, { tcp: true, udp: tun.segmentsUdp });
  }

  /** @param socket the UDP socket's descriptor */
  drain(socket: number, own: OwnSubnet): void {
    for (let call = 0; call < MAX_CALLS; call++) {
      const count = this.#inbox.receive(socket);
      for (let slot = 0; slot < count; slot++) this.#open(slot, own);
      this.#coalescer.flush();
      if (count < SLOTS) return;
    }
  }

  #open(slot: number, own: OwnSubnet): void {
    const length = this.#inbox.lengthOf(slot);
    const datagramBytes = Math.max(1, this.#inbox.datagramBytesOf(slot));
    const offset = this.#inbox.offsetOf(slot);
    // An empty datagram is one too.
    for (let at = 0; at === 0 || at < length; at += datagramBytes)
      this.#receive(offset + at, Math.min(datagramBytes, length - at), own);
  }

  #receive(ip: number, length: number, own: OwnSubnet): void {
    const view = this.#view;
    const why = malformation(view, ip, length);
    if (why !== undefined) {
      const isIpv6 = why === "version" && view.getUint8(ip) >> 4 === 6;
      this.#counters.drop(isIpv6 ? "rx-ipv6" : `rx-malformed-${why}`);
      return;
    }
    // Whoever reaches the port may send; but only what a node of the cluster would send to this one.
    if ((view.getInt32(ip + 16) & own.mask) !== own.network) {
      this.#counters.drop("rx-not-for-us");
      return;
    }
    if ((view.getInt32(ip + 12) & own.mask) === own.network) {
      this.#counters.drop("rx-from-us");
      return;
    }
    if (!decrementTtl(view, ip)) {
      this.#counters.drop("rx-ttl");
      return;
    }
    this.#coalescer.add(ip, length);
  }

  packet(ip: number, length: number): void {
    this.#pieces.clear();
    this.#pieces.push(PLAIN_HEADER, VIRTIO_NET_HEADER_BYTES);
    this.#pieces.push(ip, length);
    this.#write(1, length);
  }

  coalesced(packet: CoalescedPacket): void {
    const { ip, headerBytes, segmentBytes, count, payloads, lengths } = packet;
    const isTcp = packet.protocol === IPPROTO_TCP;
    encodeVirtioNetHeader(this.#view, LARGE_HEADER, {
      flags: VIRTIO_NET_HDR_F_NEEDS_CSUM,
      gsoType: isTcp ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_UDP_L4,
      headerBytes,
      gsoBytes: segmentBytes,
      checksumStart: IPV4_HEADER_BYTES,
      checksumOffset: isTcp ? 16 : 6,
    });
    this.#pieces.clear();
    this.#pieces.push(LARGE_HEADER, VIRTIO_NET_HEADER_BYTES);
    this.#pieces.push(ip, headerBytes);
    for (let i = 0; i < count; i++) this.#pieces.push(payloads[i] ?? 0, lengths[i] ?? 0);
    this.#write(count, packet.totalBytes + (count - 1) * headerBytes);
  }

  #write(packets: number, bytes: number): void {
    const written = this.#tun.write(this.#pieces);
    if (written < 0) {
      this.#counters.drop(written === -EIO ? "rx-device-down" : `rx-write-${errnoCode(-written)}`, packets);
      return;
    }
    this.#counters.rxPackets += packets;
    this.#counters.rxBytes += bytes;
  }
}
