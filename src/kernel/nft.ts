import { decodeRule, dumpRules, NLM_F_DUMP_INTR, type RuleMark } from "../formats/netlink/index.ts";
import type { Family, NftJson } from "../formats/nftables/index.ts";
import { NetfilterSocket } from "./netfilter-socket.ts";
import { type NftEngine, type NftOptions, openEngine } from "./nft-engine.ts";
import { NftError, parseNftFailure } from "./nft-error.ts";
import { NftWatches, type NftWatchScope } from "./nft-watch.ts";
import { check } from "./sys.ts";

const ENOENT = 2;
const EINTR = 4;
const DUMP_ATTEMPTS = 50;

/** nftables in one network namespace. */
export class Nft implements Disposable {
  readonly #engine: NftEngine;
  readonly #watches: NftWatches;
  readonly #openSocket: () => NetfilterSocket;
  #socket: NetfilterSocket | undefined;

  private constructor(engine: NftEngine, watches: NftWatches, openSocket: () => NetfilterSocket) {
    this.#engine = engine;
    this.#watches = watches;
    this.#openSocket = openSocket;
  }

  /** @throws {NftError} when neither libnftables.so.1 nor `nft` is installed */
  static open(ns?: { readonly fd: number }, options: NftOptions = {}): Nft {
    const engine = openEngine(ns, options);
    if (!engine)
      throw new NftError("use nftables", {
        reason:
          "neither the library libnftables.so.1 nor the program nft was found; install one of them (Debian, Ubuntu: apt-get install nftables)",
      });
    return new Nft(engine, new NftWatches(ns), () => new NetfilterSocket(ns));
  }

  /** Which way nft is there: the library in this process, or the program. */
  get engine(): "library" | "program" {
    return this.#engine.kind;
  }

  /** Runs `text` as one transaction: all of it, or nothing. @throws {NftError} */
  apply(text: string): void {
    this.#watches.exceptOwn(() => this.#run("change the ruleset", text, {}));
  }

  /** As apply(), but changes nothing. @throws {NftError} */
  check(text: string): void {
    this.#run("check the ruleset", text, { dryRun: true });
  }

  listRuleset(): NftJson {
    return this.list("list ruleset");
  }

  /** `list table ip flannel-ipv4` and the like, as JSON. @throws {NftError} */
  list(command: string): NftJson {
    return JSON.parse(this.#run(command, command, { json: true }));
  }

  /**
   * The rules of a table by chain, handle and comment, in order; empty when there is no such table. Asked of the kernel
   * directly: of a thousand rules it takes a millisecond or two, where list() takes twenty.
   */
  ruleMarks(family: Family, table: string): RuleMark[] {
    this.#socket ??= this.#openSocket();
    for (let attempt = 1; ; attempt++) {
      const rules: RuleMark[] = [];
      let isInterrupted = false;
      const what = `list the rules of table ${family} ${table}`;
      const errno = this.#socket.ask(dumpRules(family, table), what, (message) => {
        if (message.flags & NLM_F_DUMP_INTR) isInterrupted = true;
        const rule = decodeRule(message);
        if (rule) rules.push(rule);
      });
      if (errno === ENOENT) return [];
      if (errno === 0 && !isInterrupted) return rules;
      // Changed while the kernel walked through it (EINTR by flag or by errno).
      if ((errno !== 0 && errno !== EINTR) || attempt === DUMP_ATTEMPTS) check(-(errno || EINTR), what);
    }
  }

  /**
   * Calls `onChange`, a moment after the change, when somebody other than this Nft changed the ruleset (or a table of
   * `scope`), or when notifications were lost.
   */
  watch(onChange: () => void, scope?: NftWatchScope | readonly NftWatchScope[]): Disposable {
    return this.#watches.open(onChange, scope);
  }

  [Symbol.dispose](): void {
    this.#socket?.[Symbol.dispose]();
    this.#socket = undefined;
    this.#watches[Symbol.dispose]();
    this.#engine[Symbol.dispose]();
  }

  #run(operation: string, text: string, mode: { dryRun?: boolean; json?: boolean }): string {
    const { ok, output, errorOutput } = this.#engine.run(text, mode);
    if (!ok) throw new NftError(operation, parseNftFailure(errorOutput, text));
    return output;
  }
}
