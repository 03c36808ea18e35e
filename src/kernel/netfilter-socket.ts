import { DecodeError, decodeMessages, encodeBatch, type Message, type Request } from "../formats/netlink/index.ts";
import { inNs } from "./netns.ts";
import { bind, check, close, recv, send, setsockopt, socket } from "./sys.ts";

const AF_NETLINK = 16;
const SOCK_RAW_NONBLOCK_CLOEXEC = 3 | 0o4000 | 0o2000000;
const NETLINK_NETFILTER = 12;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const MSG_DONTWAIT = 0x40;
const EPERM = 1;
const EAGAIN = 11;
const ENOBUFS = 105;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;

/** Room for the announcement of a whole ruleset of some 10,000 elements. */
const RECEIVE_BUFFER_BYTES = 16 << 20;
/** Longer than any datagram of nfnetlink, which fills at most a few pages. */
const DATAGRAM_BYTES = 64 << 10;

/** A NETLINK_NETFILTER socket, bound to the namespace it was opened in. */
export class NetfilterSocket implements Disposable {
  readonly fd: number;
  readonly #buffer = new Uint8Array(DATAGRAM_BYTES);
  #sequence = 1;
  #isOpen = true;

  /** @param group one of NFNLGRP_…, to hear what the kernel announces */
  constructor(ns?: { readonly fd: number }, group?: number) {
    const create = (): number => socket(AF_NETLINK, SOCK_RAW_NONBLOCK_CLOEXEC, NETLINK_NETFILTER);
    this.fd = check(ns ? inNs(ns, create) : create(), "open a netfilter netlink socket");
    try {
      this.#prepare(group);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #prepare(group: number | undefined): void {
    // struct sockaddr_nl with all else zero: the kernel chooses the port.
    const address = new Uint8Array(12);
    address[0] = AF_NETLINK;
    check(bind(this.fd, address, address.length), "bind a netfilter netlink socket");
    if (group === undefined) return;
    const enlarged = setsockopt(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, int(RECEIVE_BUFFER_BYTES), 4);
    // The root of a user namespace may not; an overflow is then more likely, and is handled.
    if (enlarged !== -EPERM) check(enlarged, "enlarge a netlink receive buffer");
    check(setsockopt(this.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, int(group), 4), "join netfilter's announcements");
  }

  /** What has arrived. Its payloads are valid until the next call. `lost`: announcements were, or made no sense. */
  receive(): readonly Message[] | "none" | "lost" {
    const length = recv(this.fd, this.#buffer, this.#buffer.length, MSG_DONTWAIT);
    if (length === -EAGAIN) return "none";
    if (length === -ENOBUFS) return "lost";
    try {
      return decodeMessages(this.#buffer.subarray(0, check(length, "read from a netfilter netlink socket")));
    } catch (error) {
      if (error instanceof DecodeError) return "lost";
      throw error;
    }
  }

  /**
   * Sends one request and gives each message of its answer to `onMessage`. Returns the errno, 0 for success. The
   * kernel has answered when send() returns, and goes on with a dump as it is read: there is nothing to wait for.
   */
  ask(request: Request, what: string, onMessage: (message: Message) => void = () => {}): number {
    const sequence = this.#sequence;
    this.#sequence = sequence === 0xffff_ffff ? 1 : sequence + 1;
    const bytes = encodeBatch([request], sequence);
    check(send(this.fd, bytes, bytes.length, 0), what);
    for (;;) {
      const messages = this.receive();
      if (messages === "none") return 0;
      if (messages === "lost") return ENOBUFS;
      for (const message of messages) {
        // The late answer to a question that failed half-way.
        if (message.seq !== sequence) continue;
        if (message.type === NLMSG_DONE) return 0;
        if (message.type === NLMSG_ERROR) return errnoOf(message);
        onMessage(message);
      }
    }
  }

  [Symbol.dispose](): void {
    if (this.#isOpen) close(this.fd);
    this.#isOpen = false;
  }
}

/** struct nlmsgerr { int error; … }; 0 is an acknowledgement. */
function errnoOf({ payload }: Message): number {
  return -new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getInt32(0, true);
}

function int(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}
