import type { NftJson } from "../formats/nftables/index.ts";
import { type NftEngine, type NftOptions, openEngine } from "./nft-engine.ts";
import { NftError, parseNftFailure } from "./nft-error.ts";
import { NftWatches, type NftWatchScope } from "./nft-watch.ts";

/** nftables in one network namespace. */
export class Nft implements Disposable {
  readonly #engine: NftEngine;
  readonly #watches: NftWatches;

  private constructor(engine: NftEngine, watches: NftWatches) {
    this.#engine = engine;
    this.#watches = watches;
  }

  /** @throws {NftError} when neither libnftables.so.1 nor `nft` is installed */
  static open(ns?: { readonly fd: number }, options: NftOptions = {}): Nft {
    const engine = openEngine(ns, options);
    if (!engine)
      throw new NftError("use nftables", {
        reason:
          "neither the library libnftables.so.1 nor the program nft was found; install one of them (Debian, Ubuntu: apt-get install nftables)",
      });
    return new Nft(engine, new NftWatches(ns));
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
   * Calls `onChange`, a moment after the change, when somebody other than this Nft changed the ruleset (or the one
   * table of `scope`), or when notifications were lost.
   */
  watch(onChange: () => void, scope?: NftWatchScope): Disposable {
    return this.#watches.open(onChange, scope);
  }

  [Symbol.dispose](): void {
    this.#watches[Symbol.dispose]();
    this.#engine[Symbol.dispose]();
  }

  #run(operation: string, text: string, mode: { dryRun?: boolean; json?: boolean }): string {
    const { ok, output, errorOutput } = this.#engine.run(text, mode);
    if (!ok) throw new NftError(operation, parseNftFailure(errorOutput, text));
    return output;
  }
}
