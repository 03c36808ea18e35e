import { inNs, type NetNs } from "./netns.ts";
import { bind, check, close, recvfrom, send, sendAsync, setsockopt, socket } from "./sys.ts";

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC_NONBLOCK = 3 | 0o2000000 | 0o4000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const SOL_NETLINK = 270;
const EPERM = 1;
const EAGAIN = 11;
const EMSGSIZE = 90;
const SOCKADDR_NL_LENGTH = 12;

export const NETLINK_ROUTE = 0;
// include/uapi/linux/netlink.h
export const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;

/** Datagrams to and from the kernel: a netlink socket, or what stands for one in a test. */
export interface NetlinkTransport {
  send(bytes: Uint8Array): void;
  /** send() on another thread. The kernel has done the work when the promise is fulfilled. */
  sendAsync(bytes: Uint8Array): Promise<void>;
  /**
   * The next datagram from the kernel, or undefined when none is queued. Never waits: the kernel works, and queues its
   * answer, inside send(). @throws {SyscallError} ENOBUFS when datagrams were lost
   */
  receive(): Uint8Array | undefined;
  close(): void;
}

/** A netlink socket. It stays bound to the namespace it was opened in, from whatever thread it is used. */
export class NetlinkSocket implements NetlinkTransport {
  #fd: number;

  private constructor(protocol: number) {
    this.#fd = check(socket(AF_NETLINK, SOCK_RAW_CLOEXEC_NONBLOCK, protocol), "open a netlink socket");
  }

  /** @param prepare what else has to succeed; the socket is closed when it throws */
  static open(protocol: number, ns?: NetNs, prepare: (socket: NetlinkSocket) => void = () => {}): NetlinkSocket {
    const make = (): NetlinkSocket => new NetlinkSocket(protocol);
    const opened = ns ? inNs(ns, make) : make();
    try {
      opened.#bind();
      prepare(opened);
      return opened;
    } catch (error) {
      opened.close();
      throw error;
    }
  }

  #bind(): void {
    const address = new Uint8Array(SOCKADDR_NL_LENGTH);
    address[0] = AF_NETLINK;
    check(bind(this.fd, address, address.length), "bind a netlink socket");
    // Kernels before 4.12 and 4.20 lack one or the other: errors are then mere errnos, filters are then ours alone.
    for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK]) this.setOption(option, 1);
  }

  /** -1 once it is closed, so that a number that somebody else got meanwhile is never used. */
  get fd(): number {
    return this.#fd;
  }

  /** Sets an option of SOL_NETLINK; gives the negated errno of a failure. */
  setOption(option: number, value: number): number {
    return setsockopt(this.fd, SOL_NETLINK, option, int(value), 4);
  }

  /**
   * How much may queue before datagrams are lost. Root of the machine may exceed net.core.rmem_max; root of a user
   * namespace may not, and gets what that allows.
   */
  setReceiveBuffer(bytes: number): void {
    const forced = setsockopt(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, int(bytes), 4);
    if (forced === -EPERM) check(setsockopt(this.fd, SOL_SOCKET, SO_RCVBUF, int(bytes), 4), "set SO_RCVBUF");
    else check(forced, "set SO_RCVBUFFORCE");
  }

  send(bytes: Uint8Array): void {
    check(send(this.fd, bytes, bytes.length, 0), "send to netlink", `${bytes.length} bytes`);
  }

  async sendAsync(bytes: Uint8Array): Promise<void> {
    // That send's errno is on another thread. One that failed was not looked at by the kernel: sending again is safe,
    // and tells.
    if ((await sendAsync(this.fd, bytes)) < 0) this.send(bytes);
  }

  receive(): Uint8Array | undefined {
    for (;;) {
      senderLength[0] = SOCKADDR_NL_LENGTH;
      const length = recvfrom(this.fd, buffer, buffer.length, MSG_DONTWAIT | MSG_TRUNC, sender, senderLength);
      if (length === -EAGAIN) return undefined;
      check(length, "receive from netlink");
      if (length > buffer.length) check(-EMSGSIZE, "receive from netlink", `${length} bytes`);
      // Another process may write to this socket; only the kernel has port 0.
      if (senderView.getUint32(4, true) === 0) return buffer.slice(0, length);
    }
  }

  close(): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = -1;
  }
}

// One for all sockets: each datagram is copied out before the next call. The kernel fills dumps with up to 32 KiB.
const buffer = new Uint8Array(256 * 1024);
const sender = new Uint8Array(SOCKADDR_NL_LENGTH);
const senderView = new DataView(sender.buffer);
const senderLength = new Uint8Array(4);

function int(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return bytes;
}
