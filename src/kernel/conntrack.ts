import type { IpFamily } from "../formats/netip/index.ts";
import { type ConntrackEntry, decodeConntrack, deleteConntrack, dumpConntrack } from "../formats/netlink/index.ts";
import { NetfilterSocket } from "./netfilter-socket.ts";
import { check } from "./sys.ts";

const ENOENT = 2;
const EINVAL = 22;
const EOPNOTSUPP = 95;

/** The connection tracking table of one network namespace. */
export class Conntrack implements Disposable {
  readonly #socket: NetfilterSocket;

  private constructor(socket: NetfilterSocket) {
    this.#socket = socket;
  }

  static open(ns?: { readonly fd: number }): Conntrack {
    return new Conntrack(new NetfilterSocket(ns));
  }

  /**
   * The entries that `wanted` says yes to. The table changes under the listing, which the kernel allows.
   * @throws {SyscallError} which isUnsupported() when the kernel has no ctnetlink
   */
  list(family: IpFamily, wanted: (entry: ConntrackEntry) => boolean = () => true): ConntrackEntry[] {
    const entries: ConntrackEntry[] = [];
    const what = `list IPv${family} connections`;
    const errno = this.#socket.ask(dumpConntrack(family), what, (message) => {
      const entry = decodeConntrack(message);
      if (entry && wanted(entry)) entries.push(entry);
    });
    // A netlink subsystem that is not there is EINVAL to nfnetlink; a listing has nothing else that could be invalid.
    check(errno === EINVAL ? -EOPNOTSUPP : -errno, what);
    return entries;
  }

  /** Forgets one connection, so that its next packet is judged afresh. Returns whether it was still there. */
  delete(entry: ConntrackEntry): boolean {
    const what = `delete the connection ${entry.original.source} to ${entry.original.destination}`;
    const errno = this.#socket.ask(deleteConntrack(entry), what);
    if (errno === ENOENT) return false;
    check(-errno, what);
    return true;
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}
