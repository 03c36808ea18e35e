import { decodeNfTablesEvent, getNfTablesGeneration, type Message, NFPROTO } from "../formats/netlink/index.ts";
import type { Family } from "../formats/nftables/index.ts";
import { NetfilterSocket } from "./netfilter-socket.ts";
import { check, watch } from "./sys.ts";

/** Which changes a watch reports: those of one table. */
export interface NftWatchScope {
  readonly family: Family;
  readonly table: string;
}

type Namespace = { readonly fd: number };

const NFNLGRP_NFTABLES = 7;
/** A ruleset is often changed in several transactions one after the other. */
const SETTLE_MS = 10;

/** The watches of one Nft. They know which transactions were its own. */
export class NftWatches implements Disposable {
  readonly #ns: Namespace | undefined;
  readonly #open = new Set<NftWatch>();
  /** For asking which generation the ruleset is in; opened with the first watch. */
  #questions: NetfilterSocket | undefined;

  constructor(ns: Namespace | undefined) {
    this.#ns = ns;
  }

  open(onChange: () => void, scope?: NftWatchScope | readonly NftWatchScope[]): Disposable {
    this.#questions ??= new NetfilterSocket(this.#ns);
    const scopes = scope === undefined ? [] : "table" in scope ? [scope] : scope;
    const opened = new NftWatch(new NetfilterSocket(this.#ns, NFNLGRP_NFTABLES), onChange, scopes);
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
    const socket = this.#questions;
    if (this.#open.size === 0 || !socket) return 0;
    let generation = 0;
    const what = "ask nf_tables for its generation";
    const errno = socket.ask(getNfTablesGeneration(), what, (message) => {
      const event = decodeNfTablesEvent(message);
      if (event?.kind === "generation") generation = event.id;
    });
    check(-errno, what);
    return generation;
  }

  [Symbol.dispose](): void {
    for (const each of this.#open) each[Symbol.dispose]();
    this.#open.clear();
    this.#questions?.[Symbol.dispose]();
    this.#questions = undefined;
  }
}

/**
 * Calls `onChange`, a moment after the change, when anybody changed one of the tables, or notifications were lost. Needs
 * no nft. @throws {SyscallError}
 */
export function watchNfTables(
  ns: Namespace | undefined,
  onChange: () => void,
  scopes: readonly NftWatchScope[],
): Disposable {
  const watches = new NftWatches(ns);
  for (const scope of scopes) watches.open(onChange, scope);
  return watches;
}

/** One socket in the group NFNLGRP_NFTABLES. */
class NftWatch implements Disposable {
  readonly #socket: NetfilterSocket;
  readonly #onChange: () => void;
  /** Empty: everything. */
  readonly #scopes: readonly NftWatchScope[];
  readonly #readable: Disposable;
  #announcement: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(socket: NetfilterSocket, onChange: () => void, scopes: readonly NftWatchScope[]) {
    this.#socket = socket;
    this.#onChange = onChange;
    this.#scopes = scopes;
    // An error is an overflow: what was lost is unknown, so it counts as a change.
    this.#readable = watch(
      socket.fd,
      () => this.drain(true),
      () => this.#announce(),
    );
  }

  /** Reads what is there; `counts` says whether it is to be reported. */
  drain(counts: boolean): void {
    for (;;) {
      if (this.#isClosed) return;
      const messages = this.#socket.receive();
      if (messages === "none") return;
      if (counts && (messages === "lost" || messages.some((message) => this.#concerns(message)))) this.#announce();
    }
  }

  #concerns(message: Message): boolean {
    const event = decodeNfTablesEvent(message);
    if (event?.kind !== "change") return false;
    const scopes = this.#scopes;
    return (
      scopes.length === 0 ||
      scopes.some(({ family, table }) => event.table === table && event.nfproto === NFPROTO[family])
    );
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
    this.#socket[Symbol.dispose]();
  }
}
