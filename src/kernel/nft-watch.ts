import { decodeNfTablesEvents, encodeGetGeneration, NFPROTO, type NfTablesEvent } from "../formats/netlink/index.ts";
import type { Family } from "../formats/nftables/index.ts";
import { inNs } from "./netns.ts";
import { bind, check, close, recv, send, setsockopt, socket, watch } from "./sys.ts";

/** Which changes a watch reports: those of one table. */
export interface NftWatchScope {
  readonly family: Family;
  readonly table: string;
}

type Namespace = { readonly fd: number };

const AF_NETLINK = 16;
const SOCK_RAW_NONBLOCK_CLOEXEC = 3 | 0o4000 | 0o2000000;
const NETLINK_NETFILTER = 12;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NFNLGRP_NFTABLES = 7;
const MSG_DONTWAIT = 0x40;
const EAGAIN = 11;
const EPERM = 1;

/** Room for the announcement of a whole ruleset of some 10,000 elements. */
const RECEIVE_BUFFER_BYTES = 16 << 20;
/** Longer than any message of nf_tables, which fills at most a page or two. */
const DATAGRAM_BYTES = 64 << 10;
/** A ruleset is often changed in several transactions one after the other. */
const SETTLE_MS = 10;

/** The watches of one Nft. They know which transactions were its own. */
export class NftWatches implements Disposable {
  readonly #ns: Namespace | undefined;
  readonly #open = new Set<NftWatch>();
  /** For asking which generation the ruleset is in; opened with the first watch. */
  #generations: number | undefined;

  constructor(ns: Namespace | undefined) {
    this.#ns = ns;
  }

  open(onChange: () => void, scope?: NftWatchScope): Disposable {
    this.#generations ??= openSocket(this.#ns);
    const opened = new NftWatch(openSocket(this.#ns, NFNLGRP_NFTABLES), onChange, scope);
    this.#open.add(opened);
    return {
      [Symbol.dispose]: () => {
        this.#open.delete(opened);
        opened[Symbol.dispose]();
      },
    };
  }

  /**
   * Runs `transaction`, of which no watch shall hear. The kernel announces a commit before the send that made it
   * returns, and counts generations: if there was one commit between our two questions, it was ours; if there were
   * more, somebody else's is among them and the watches hear of all.
   */
  exceptOwn(transaction: () => void): void {
    const before = this.#generation();
    for (const each of this.#open) each.drain(true);
    let commits = 0;
    try {
      transaction();
      commits = 1;
    } finally {
      const isOnlyOurs = this.#generation() - before <= commits;
      for (const each of this.#open) each.drain(!isOnlyOurs);
    }
  }

  #generation(): number {
    const fd = this.#generations;
    if (fd === undefined) return 0;
    const request = encodeGetGeneration();
    check(send(fd, request, request.length, 0), "ask nf_tables for its generation");
    const answer = receive(fd, new Uint8Array(4096));
    return answer instanceof Uint8Array ? (lastGeneration(decodeNfTablesEvents(answer)) ?? 0) : 0;
  }

  [Symbol.dispose](): void {
    for (const each of this.#open) each[Symbol.dispose]();
    this.#open.clear();
    if (this.#generations !== undefined) close(this.#generations);
    this.#generations = undefined;
  }
}

function lastGeneration(events: readonly NfTablesEvent[]): number | undefined {
  return events.flatMap((event) => (event.kind === "generation" ? event.id : [])).at(-1);
}

/** One socket in the group NFNLGRP_NFTABLES. */
class NftWatch implements Disposable {
  readonly #fd: number;
  readonly #onChange: () => void;
  readonly #scope: NftWatchScope | undefined;
  readonly #readable: Disposable;
  readonly #buffer = new Uint8Array(DATAGRAM_BYTES);
  #announcement: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(fd: number, onChange: () => void, scope: NftWatchScope | undefined) {
    this.#fd = fd;
    this.#onChange = onChange;
    this.#scope = scope;
    // An error is an overflow: what was lost is unknown, so it counts as a change.
    this.#readable = watch(
      fd,
      () => this.drain(true),
      () => this.#announce(),
    );
  }

  /** Reads what is there; `counts` says whether it is to be reported. */
  drain(counts: boolean): void {
    for (;;) {
      if (this.#isClosed) return;
      const datagram = receive(this.#fd, this.#buffer);
      if (datagram === "empty") return;
      if (counts && (datagram === "overflow" || decodeNfTablesEvents(datagram).some((event) => this.#concerns(event))))
        this.#announce();
    }
  }

  #concerns(event: NfTablesEvent): boolean {
    if (event.kind !== "change") return false;
    const scope = this.#scope;
    return scope === undefined || (event.table === scope.table && event.nfproto === NFPROTO[scope.family]);
  }

  #announce(): void {
    this.#announcement ??= setTimeout(() => {
      this.#announcement = undefined;
      if (!this.#isClosed) this.#onChange();
    }, SETTLE_MS);
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#announcement);
    this.#readable[Symbol.dispose]();
    close(this.#fd);
  }
}

function receive(fd: number, buffer: Uint8Array): Uint8Array | "empty" | "overflow" {
  const ENOBUFS = 105;
  const length = recv(fd, buffer, buffer.length, MSG_DONTWAIT);
  if (length === -EAGAIN) return "empty";
  if (length === -ENOBUFS) return "overflow";
  return buffer.subarray(0, check(length, "read nf_tables' announcements"));
}

function openSocket(ns: Namespace | undefined, group?: number): number {
  const create = (): number => socket(AF_NETLINK, SOCK_RAW_NONBLOCK_CLOEXEC, NETLINK_NETFILTER);
  const fd = check(ns ? inNs(ns, create) : create(), "open a netfilter netlink socket");
  try {
    // struct sockaddr_nl with everything zero: the kernel chooses the port.
    const address = new Uint8Array(12);
    address[0] = AF_NETLINK;
    check(bind(fd, address, address.length), "bind a netfilter netlink socket");
    if (group === undefined) return fd;
    const buffer = setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, int(RECEIVE_BUFFER_BYTES), 4);
    // A user namespace's root may not; an overflow is then more likely, and is handled.
    if (buffer !== -EPERM) check(buffer, "enlarge a netlink receive buffer");
    check(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, int(group), 4), "join nf_tables' announcements");
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

function int(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}
