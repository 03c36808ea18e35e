// One AF_PACKET socket a namespace, bound to no device: it then sees every frame of every device, and its queue is the
// order in which the kernel's devices saw them. Two things to know (packet(7), net/core/dev.c):
// - A frame is seen when it is handed to a device (PACKET_OUTGOING) and when a device received it, so `lo` shows each
//   twice. A bridged frame shows at its ports and not at the bridge; one that the bridge delivers or sends itself shows
//   at both.
// - A received frame keeps the time of its first sighting on its way up (eth0, then cni0): equal times are no mistake,
//   and the queue's order is the truth.

import { clockNs } from "./clock.ts";
import type { NetNs } from "./netns.ts";
import { inNs } from "./netns.ts";
import {
  bind,
  check,
  close,
  getsockopt,
  ioctl,
  type MappedMemory,
  mapMemory,
  recvmsg,
  sendto,
  setsockopt,
  socket,
} from "./sys.ts";

/** One classic BPF instruction, `struct sock_filter`. */
export interface BpfInstruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}
export type Bpf = readonly BpfInstruction[];

/** A frame as one device of the namespace saw it. */
export interface CapturedFrame {
  readonly ifindex: number;
  /** The device's name at the time of draining; `if7` when it is gone. */
  readonly device: string;
  readonly direction: "tx" | "rx";
  /** CLOCK_REALTIME, nanoseconds. */
  readonly timestampNs: bigint;
  readonly frame: Uint8Array;
  /** What the frame had before the filter cut it. */
  readonly originalLength: number;
  /** `sll_pkttype`: PACKET_HOST 0, PACKET_BROADCAST 1, PACKET_MULTICAST 2, PACKET_OTHERHOST 3, PACKET_OUTGOING 4. */
  readonly packetType: number;
  /** `sll_hatype`: ARPHRD_ETHER 1, ARPHRD_LOOPBACK 772; ARPHRD_NONE 65534 (a TUN device) has no Ethernet header. */
  readonly hardwareType: number;
}

export interface Capture extends Disposable {
  /** All frames since the last call, in the order in which the kernel's devices saw them. */
  drain(): CapturedFrame[];
  /**
   * Whether the kernel stamps frames when it sees them, found out with a frame of no protocol on `lo`; what was
   * captured up to now is dropped. The first capture on a machine only *asks* for it: for some milliseconds more,
   * until the kernel has rewritten its code, a frame gets the time at which it is read. Undefined when `lo` is down.
   */
  isStamping(): boolean | undefined;
  /** Frames the kernel had no room for since the capture was opened. */
  readonly drops: number;
  close(): void;
}

export interface CaptureOptions {
  readonly filter?: Bpf;
  /** Receive buffer; 16 MiB unless said, some ten thousand small frames. */
  readonly bufferBytes?: number;
}

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_NONBLOCK_CLOEXEC = 0o2004000;
const ETH_P_ALL = 3;
// IEEE 802's number for local experiments: no protocol handles it, the kernel drops it.
const ETH_P_EXPERIMENTAL = 0x88b5;
// lo is the first device of every namespace.
const LO = 1;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
const SO_ATTACH_FILTER = 26;
const SO_TIMESTAMPNS_NEW = 64;
const SOL_PACKET = 263;
const PACKET_STATISTICS = 6;
const PACKET_AUXDATA = 8;
export const PACKET_OTHERHOST = 3;
const PACKET_OUTGOING = 4;
const SIOCGIFNAME = 0x8910;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const EAGAIN = 11;
const EINTR = 4;
// The link went down while the socket waited: nothing to read because of it, and nothing is wrong with the socket.
const ENETDOWN = 100;

// The arena of one recvmsg(), 64-bit layout: struct msghdr (56), struct iovec (16), struct sockaddr_ll (20), control.
const [HEADER, IOVEC, ADDRESS, CONTROL, FRAME] = [0, 64, 96, 128, 512];
const CONTROL_BYTES = FRAME - CONTROL;
// GSO gives frames of 64 KiB and a header; IPv6 BIG TCP more, of which the start is enough.
const FRAME_BYTES = 0x20000;

/** One AF_PACKET socket that sees every frame at every device of a namespace, from now on. */
export function openCapture(ns: NetNs, options: CaptureOptions = {}): Capture {
  const { filter, bufferBytes = 16 << 20 } = options;
  // Protocol 0 receives nothing: the filter and the timestamps are in place before the first frame is.
  const fd = inNs(ns, () => check(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK_CLOEXEC, 0), "open a packet socket"));
  try {
    // FORCE passes net.core.rmem_max and needs CAP_NET_ADMIN in the first user namespace; rootless gets what it may have.
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, u32(bufferBytes), 4) < 0)
      check(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, u32(bufferBytes), 4), "size the receive buffer of a packet socket");
    check(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS_NEW, u32(1), 4), "ask a packet socket for times");
    check(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, u32(1), 4), "ask a packet socket for lengths");
    if (filter) attachFilter(fd, filter);
    check(bind(fd, linkAddress(ETH_P_ALL, 0), 20), "bind a packet socket to all devices");
    return new PacketSocket(fd);
  } catch (error) {
    close(fd);
    throw error;
  }
}

function u32(n: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, n, true);
  return bytes;
}

/** struct sockaddr_ll; interface 0 is all of them. */
function linkAddress(protocol: number, ifindex: number): Uint8Array {
  const address = new Uint8Array(20);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_PACKET, true);
  view.setUint16(2, protocol);
  view.setInt32(4, ifindex, true);
  return address;
}

function attachFilter(fd: number, filter: Bpf): void {
  const memory = mapMemory(16 + filter.length * 8);
  const view = new DataView(memory.bytes.buffer);
  view.setUint16(0, filter.length, true);
  view.setBigUint64(8, BigInt(memory.address + 16), true);
  filter.forEach(({ code, jt, jf, k }, i) => {
    view.setUint16(16 + i * 8, code, true);
    view.setUint8(18 + i * 8, jt);
    view.setUint8(19 + i * 8, jf);
    view.setUint32(20 + i * 8, k, true);
  });
  const result = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, memory.bytes, 16);
  memory.unmap();
  check(result, "attach a filter to a packet socket", `${filter.length} instructions`);
}

class PacketSocket implements Capture {
  readonly #fd: number;
  readonly #arena: MappedMemory = mapMemory(FRAME + FRAME_BYTES);
  readonly #view: DataView = new DataView(this.#arena.bytes.buffer);
  #drops = 0;
  #isOpen = true;

  constructor(fd: number) {
    this.#fd = fd;
  }

  drain(): CapturedFrame[] {
    const frames: CapturedFrame[] = [];
    const names = new Map<number, string>();
    // On a busy node frames may come as fast as they are read; what was there at the call is less than this.
    while (this.#isOpen && frames.length < 0x20000) {
      this.#prepare();
      const length = recvmsg(this.#fd, this.#arena.address, MSG_DONTWAIT | MSG_TRUNC);
      if (length === -EINTR || length === -ENETDOWN) continue;
      if (length === -EAGAIN) break;
      check(length, "read a packet socket");
      frames.push(this.#frame(length, names));
    }
    return frames;
  }

  isStamping(): boolean | undefined {
    const probe = new Uint8Array(60);
    probe.set([ETH_P_EXPERIMENTAL >> 8, ETH_P_EXPERIMENTAL & 0xff], 12);
    // lo receives within the send. A socket does not see what it sends itself, so there is only that one.
    if (sendto(this.#fd, probe, probe.length, MSG_DONTWAIT, linkAddress(ETH_P_EXPERIMENTAL, LO), 20) < 0)
      return undefined;
    const sent = clockNs("realtime");
    const seen = this.drain().find(({ frame }) => frame[12] === probe[12] && frame[13] === probe[13]);
    return seen && seen.timestampNs <= sent;
  }

  get drops(): number {
    if (this.#isOpen) {
      const statistics = new Uint8Array(8);
      // The kernel counts from the last time it was asked.
      check(
        getsockopt(this.#fd, SOL_PACKET, PACKET_STATISTICS, statistics, u32(8)),
        "read a packet socket's statistics",
      );
      this.#drops += new DataView(statistics.buffer).getUint32(4, true);
    }
    return this.#drops;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    close(this.#fd);
    this.#arena.unmap();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** recvmsg() writes lengths back into its header, so they are set anew each time. */
  #prepare(): void {
    const at = (offset: number): bigint => BigInt(this.#arena.address + offset);
    const view = this.#view;
    view.setBigUint64(HEADER, at(ADDRESS), true);
    view.setUint32(HEADER + 8, 20, true);
    view.setBigUint64(HEADER + 16, at(IOVEC), true);
    view.setBigUint64(HEADER + 24, 1n, true);
    view.setBigUint64(HEADER + 32, at(CONTROL), true);
    view.setBigUint64(HEADER + 40, BigInt(CONTROL_BYTES), true);
    view.setBigUint64(IOVEC, at(FRAME), true);
    view.setBigUint64(IOVEC + 8, BigInt(FRAME_BYTES), true);
  }

  #frame(length: number, names: Map<number, string>): CapturedFrame {
    const ifindex = this.#view.getInt32(ADDRESS + 4, true);
    const packetType = this.#view.getUint8(ADDRESS + 10);
    const device = names.get(ifindex) ?? this.#name(ifindex);
    names.set(ifindex, device);
    const { timestampNs, originalLength } = this.#control();
    return {
      ifindex,
      device,
      direction: packetType === PACKET_OUTGOING ? "tx" : "rx",
      timestampNs,
      frame: this.#arena.bytes.slice(FRAME, FRAME + Math.min(length, FRAME_BYTES)),
      originalLength: originalLength ?? length,
      packetType,
      hardwareType: this.#view.getUint16(ADDRESS + 8, true),
    };
  }

  /** The control messages, each a `struct cmsghdr` padded to eight bytes: a `struct __kernel_timespec`, an auxdata. */
  #control(): { timestampNs: bigint; originalLength: number | undefined } {
    const view = this.#view;
    const end = CONTROL + Math.min(CONTROL_BYTES, Number(view.getBigUint64(HEADER + 40, true)));
    let timestampNs = 0n;
    let originalLength: number | undefined;
    for (let at = CONTROL; at + 16 <= end; ) {
      const length = view.getUint32(at, true);
      const [level, type, data] = [view.getInt32(at + 8, true), view.getInt32(at + 12, true), at + 16];
      if (level === SOL_SOCKET && type === SO_TIMESTAMPNS_NEW)
        timestampNs = view.getBigInt64(data, true) * 1_000_000_000n + view.getBigInt64(data + 8, true);
      if (level === SOL_PACKET && type === PACKET_AUXDATA) originalLength = view.getUint32(data + 4, true);
      at += Math.max(16, Math.ceil(length / 8) * 8);
    }
    return { timestampNs, originalLength };
  }

  /** Asked of the socket itself, which stays in its namespace, so no namespace has to be entered. */
  #name(ifindex: number): string {
    const request = new Uint8Array(40);
    new DataView(request.buffer).setInt32(16, ifindex, true);
    if (ioctl(this.#fd, SIOCGIFNAME, request) < 0) return `if${ifindex}`;
    return new TextDecoder().decode(request.subarray(0, request.indexOf(0)));
  }
}
