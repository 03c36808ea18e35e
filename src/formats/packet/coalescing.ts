// Which packets may become one, and how: the rules of the kernel's GRO (net/ipv4/tcp_offload.c, udp_offload.c), under
// which the large packet, cut again, gives the very packets it was made of.
//
//   same addresses, protocol, ports, TOS, TTL and DF; no IP options; no fragment
//   identification that counts up, or under DF stays, where nobody may look at it (RFC 6864 §4.1)
//   TCP: the same acknowledgement, window, flags and options; the next sequence number; only ACK set
//   UDP: a checksum
//   all but the last as long as the first; PSH, FIN and a shorter one end it; 64 KiB
//   checksums of IP and transport right, as the large packet gets new ones: nothing wrong is ever made right
import { isTransportValid, writeIpv4Checksum } from "./forwarding.ts";
import { IPPROTO_TCP, IPPROTO_UDP, IPV4_HEADER_BYTES } from "./ipv4.ts";
import { foldSum, type PacketMemory, pseudoHeaderSum, sumBytes } from "./packet-memory.ts";
import { headerBytesOf } from "./segmentation.ts";
import { TCP_FLAGS } from "./tcp.ts";
import { UDP_HEADER_BYTES } from "./udp.ts";

/** Packets that were made one: the headers of the first, and each one's payload where it has been all along. */
export interface CoalescedPacket {
  /** Offset of the headers, which are those of the large packet; its checksum is partial. */
  readonly ip: number;
  readonly protocol: number;
  readonly headerBytes: number;
  /** Payload of each but the last. */
  readonly segmentBytes: number;
  readonly totalBytes: number;
  readonly count: number;
  /** Offsets of the payloads, and their lengths: the first `count`. */
  readonly payloads: Int32Array;
  readonly lengths: Int32Array;
}

export interface CoalescingSink {
  /** A packet as it came. */
  packet(ip: number, length: number): void;
  coalesced(packet: CoalescedPacket): void;
}

/** As many as the kernel sends by UDP_SEGMENT, and enough for 64 KiB of usual ones. */
const MAX_SEGMENTS = 64;
/** Flows that are collected at the same time. */
const MAX_RUNS = 8;
const MAX_BYTES = 0xffff;
/** Offsets in an IPv4 and in a TCP header. */
const [TOTAL, ID, FRAGMENT, TTL, PROTOCOL, SOURCE, DESTINATION] = [2, 4, 6, 8, 9, 12, 16];
const [SEQUENCE, ACKNOWLEDGEMENT, OFFSET_FLAGS, FLAGS, TCP_CHECKSUM] = [4, 8, 12, 13, 16];
const DONT_FRAGMENT = 0x4000;

class Run implements CoalescedPacket {
  ip = 0;
  protocol = 0;
  headerBytes = 0;
  segmentBytes = 0;
  totalBytes = 0;
  count = 0;
  nextSequence = 0;
  lastId = 0;
  /** By how much the identification grows: not known before the second. */
  idStep = -1;
  readonly payloads: Int32Array = new Int32Array(MAX_SEGMENTS);
  readonly lengths: Int32Array = new Int32Array(MAX_SEGMENTS);
}

/** Collects packets of one batch, flow by flow. Within a flow they leave in the order in which they came. */
export class Coalescer {
  readonly #view: DataView;
  readonly #sink: CoalescingSink;
  readonly #protocols: { readonly tcp: boolean; readonly udp: boolean };
  /** The first #open are in use, the oldest first. */
  readonly #runs: Run[] = Array.from({ length: MAX_RUNS }, () => new Run());
  #open = 0;

  constructor(memory: PacketMemory, sink: CoalescingSink, protocols: { tcp: boolean; udp: boolean }) {
    this.#view = memory.view;
    this.#sink = sink;
    this.#protocols = protocols;
  }

  /** A whole IPv4 packet; its bytes must stay until flush(). */
  add(ip: number, length: number): void {
    const view = this.#view;
    const headerBytes = (view.getUint16(ip + FRAGMENT) & 0xbfff) === 0 ? headerBytesOf(view, ip, length) : 0;
    if (headerBytes === 0) {
      // Of an unknown flow, which ends at the same two hosts.
      this.#flushBetween(ip);
      this.#sink.packet(ip, length);
      return;
    }
    const index = this.#find(ip);
    const run = index < 0 ? undefined : this.#runs[index];
    if (run && this.#follows(run, ip, length, headerBytes)) {
      if (this.#append(run, ip, length - headerBytes)) this.#flushRun(index);
      return;
    }
    if (index >= 0) this.#flushRun(index);
    if (this.#mayBegin(ip, length, headerBytes)) this.#begin(ip, length, headerBytes);
    else this.#sink.packet(ip, length);
  }

  flush(): void {
    while (this.#open > 0) this.#flushRun(0);
  }

  #find(ip: number): number {
    const view = this.#view;
    for (let i = 0; i < this.#open; i++) {
      const other = this.#runs[i]?.ip ?? 0;
      if (
        view.getUint32(other + SOURCE) === view.getUint32(ip + SOURCE) &&
        view.getUint32(other + DESTINATION) === view.getUint32(ip + DESTINATION) &&
        view.getUint8(other + PROTOCOL) === view.getUint8(ip + PROTOCOL) &&
        view.getUint32(other + IPV4_HEADER_BYTES) === view.getUint32(ip + (view.getUint8(ip) & 15) * 4)
      )
        return i;
    }
    return -1;
  }

  #mayBegin(ip: number, length: number, headerBytes: number): boolean {
    const view = this.#view;
    // Bytes after the packet's own end, and options, are carried on, but not multiplied.
    if (view.getUint8(ip) !== 0x45 || view.getUint16(ip + TOTAL) !== length || length === headerBytes) return false;
    if (view.getUint8(ip + PROTOCOL) === IPPROTO_UDP)
      return this.#protocols.udp && view.getUint16(ip + IPV4_HEADER_BYTES + 4) === length - IPV4_HEADER_BYTES;
    return this.#protocols.tcp && (view.getUint16(ip + IPV4_HEADER_BYTES + OFFSET_FLAGS) & 0xfff) === TCP_FLAGS.ACK;
  }

  #begin(ip: number, length: number, headerBytes: number): void {
    if (this.#open === MAX_RUNS) this.#flushRun(0);
    const run = this.#runs[this.#open++];
    if (!run) return;
    const view = this.#view;
    run.ip = ip;
    run.protocol = view.getUint8(ip + PROTOCOL);
    run.headerBytes = headerBytes;
    run.segmentBytes = length - headerBytes;
    run.totalBytes = headerBytes;
    run.count = 0;
    run.nextSequence = run.protocol === IPPROTO_TCP ? view.getUint32(ip + IPV4_HEADER_BYTES + SEQUENCE) : 0;
    run.idStep = -1;
    this.#append(run, ip, length - headerBytes);
  }

  /** Whether the packet is the next of the run, both are sound, and there is room. */
  #follows(run: Run, ip: number, length: number, headerBytes: number): boolean {
    const view = this.#view;
    const payloadBytes = length - headerBytes;
    const first = run.ip;
    if (
      view.getUint8(ip) !== 0x45 ||
      view.getUint16(ip + TOTAL) !== length ||
      headerBytes !== run.headerBytes ||
      payloadBytes === 0 ||
      payloadBytes > run.segmentBytes ||
      run.totalBytes + payloadBytes > MAX_BYTES ||
      run.count === MAX_SEGMENTS ||
      view.getUint8(ip + 1) !== view.getUint8(first + 1) ||
      view.getUint8(ip + TTL) !== view.getUint8(first + TTL) ||
      view.getUint16(ip + FRAGMENT) !== view.getUint16(first + FRAGMENT)
    )
      return false;
    const step = (view.getUint16(ip + ID) - run.lastId) & 0xffff;
    const isAtomic = (view.getUint16(ip + FRAGMENT) & DONT_FRAGMENT) !== 0;
    if (run.idStep >= 0 ? step !== run.idStep : step !== 1 && !(step === 0 && isAtomic)) return false;
    const isSame =
      run.protocol === IPPROTO_UDP
        ? view.getUint16(ip + IPV4_HEADER_BYTES + 4) === UDP_HEADER_BYTES + payloadBytes
        : this.#isNextSegment(run, ip);
    if (!isSame || !this.#isSound(ip)) return false;
    return run.count > 1 || this.#isSound(first);
  }

  #isNextSegment(run: Run, ip: number): boolean {
    const view = this.#view;
    const [is, was] = [ip + IPV4_HEADER_BYTES, run.ip + IPV4_HEADER_BYTES];
    if (view.getUint32(is + SEQUENCE) !== run.nextSequence) return false;
    if (view.getUint32(is + ACKNOWLEDGEMENT) !== view.getUint32(was + ACKNOWLEDGEMENT)) return false;
    // Data offset, flags and window; those of the first are known to be just ACK.
    const differs = view.getUint32(is + OFFSET_FLAGS) ^ view.getUint32(was + OFFSET_FLAGS);
    if ((differs & ~((TCP_FLAGS.PSH | TCP_FLAGS.FIN) << 16)) !== 0) return false;
    if (view.getUint16(is + 18) !== view.getUint16(was + 18)) return false;
    for (let i = 20; i < run.headerBytes - IPV4_HEADER_BYTES; i += 4)
      if (view.getUint32(is + i) !== view.getUint32(was + i)) return false;
    return true;
  }

  #isSound(ip: number): boolean {
    const view = this.#view;
    return (
      foldSum(sumBytes(view, ip, IPV4_HEADER_BYTES)) === 0xffff &&
      isTransportValid(view, ip, IPV4_HEADER_BYTES, view.getUint8(ip + PROTOCOL))
    );
  }

  /** @returns whether nothing can follow any more */
  #append(run: Run, ip: number, payloadBytes: number): boolean {
    const view = this.#view;
    run.payloads[run.count] = ip + run.headerBytes;
    run.lengths[run.count] = payloadBytes;
    run.totalBytes += payloadBytes;
    const id = view.getUint16(ip + ID);
    if (run.count === 1) run.idStep = (id - run.lastId) & 0xffff;
    run.lastId = id;
    run.count++;
    let isLast = payloadBytes < run.segmentBytes;
    if (run.protocol === IPPROTO_TCP) {
      run.nextSequence = (run.nextSequence + payloadBytes) >>> 0;
      const flags = view.getUint8(ip + IPV4_HEADER_BYTES + FLAGS) & (TCP_FLAGS.PSH | TCP_FLAGS.FIN);
      if (flags !== 0) {
        view.setUint8(run.ip + IPV4_HEADER_BYTES + FLAGS, TCP_FLAGS.ACK | flags);
        isLast = true;
      }
    }
    return isLast;
  }

  #flushRun(index: number): void {
    const run = this.#runs[index];
    if (!run) return;
    this.#open--;
    this.#runs.copyWithin(index, index + 1, this.#open + 1);
    this.#runs[this.#open] = run;
    if (run.count === 1) {
      this.#sink.packet(run.ip, run.totalBytes);
      return;
    }
    this.#writeHeaders(run);
    this.#sink.coalesced(run);
  }

  #writeHeaders(run: Run): void {
    const view = this.#view;
    view.setUint16(run.ip + TOTAL, run.totalBytes);
    writeIpv4Checksum(view, run.ip, IPV4_HEADER_BYTES);
    const transport = run.ip + IPV4_HEADER_BYTES;
    const length = run.totalBytes - IPV4_HEADER_BYTES;
    const isTcp = run.protocol === IPPROTO_TCP;
    if (!isTcp) view.setUint16(transport + 4, length);
    const partial = foldSum(pseudoHeaderSum(view, run.ip, run.protocol, length));
    view.setUint16(transport + (isTcp ? TCP_CHECKSUM : 6), partial, true);
  }

  /** All between the two hosts of the packet. */
  #flushBetween(ip: number): void {
    const view = this.#view;
    for (let i = 0; i < this.#open; ) {
      const other = this.#runs[i]?.ip ?? 0;
      if (
        view.getUint32(other + SOURCE) === view.getUint32(ip + SOURCE) &&
        view.getUint32(other + DESTINATION) === view.getUint32(ip + DESTINATION)
      )
        this.#flushRun(i);
      else i++;
    }
  }
}
