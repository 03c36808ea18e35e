import { isNotFound, type Nft } from "../kernel/index.ts";
import type { MasqueradeConfig } from "./config.ts";
import type { Log, Masquerade } from "./masquerade.ts";
import { masqueradeCleanup, masqueradeRuleset, masqueradeTables } from "./ruleset.ts";

/** A repair that failed is tried again after a second, then after 2, 4, 8 and each further 16. */
const RETRY_MS = { first: 1000, last: 16_000 } as const;

/** Flannel's rules in tables of their own. */
export class NftMasquerade implements Masquerade {
  readonly mode = "nft";
  readonly #nft: Nft;
  readonly #config: MasqueradeConfig;
  readonly #log: Log;
  readonly #onRestored: () => void;
  readonly #watches = new Set<Disposable>();
  /** How the kernel listed the tables just after we wrote them; what differs from it has drifted. */
  #asWritten: string | undefined;
  #retry: NodeJS.Timeout | undefined;
  #failures = 0;

  /** @param onRestored called after each repair of what somebody else had changed */
  constructor(nft: Nft, config: MasqueradeConfig, log: Log, onRestored: () => void = () => {}) {
    this.#nft = nft;
    this.#config = config;
    this.#log = log;
    this.#onRestored = onRestored;
  }

  /**
   * Makes the tables what they should be, in one transaction; writes nothing when they are as we wrote them.
   * Returns whether it wrote. @throws {NftError}
   */
  ensure(): boolean {
    if (this.isInPlace()) return false;
    this.#nft.apply(masqueradeRuleset(this.#config));
    this.#asWritten = this.#listing();
    return true;
  }

  /** Whether the kernel has the tables as we wrote them. @throws {NftError} */
  isInPlace(): boolean {
    return this.#asWritten !== undefined && this.#listing() === this.#asWritten;
  }

  /** Ensures now, and again whenever somebody else changes the tables, until disposed. @throws {NftError} */
  watch(): Disposable {
    const watches = masqueradeTables(this.#config).map((scope) => this.#nft.watch(() => this.#repair(), scope));
    for (const watch of watches) this.#watches.add(watch);
    const stop = (): void => {
      for (const watch of watches) {
        this.#watches.delete(watch);
        watch[Symbol.dispose]();
      }
      if (this.#watches.size === 0) clearTimeout(this.#retry);
    };
    try {
      this.ensure();
    } catch (error) {
      stop();
      throw error;
    }
    return { [Symbol.dispose]: stop };
  }

  /** Stops every watch and removes both tables. @throws {NftError} */
  cleanup(): void {
    this[Symbol.dispose]();
    this.#nft.apply(masqueradeCleanup());
    this.#asWritten = undefined;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#retry);
    for (const watch of this.#watches) watch[Symbol.dispose]();
    this.#watches.clear();
  }

  #repair(): void {
    clearTimeout(this.#retry);
    if (this.#watches.size === 0) return;
    try {
      if (this.ensure()) {
        this.#log.warn("masquerade rules had been changed by someone else; restored them");
        this.#onRestored();
      }
      this.#failures = 0;
    } catch (error) {
      const retryMs = Math.min(RETRY_MS.first * 2 ** this.#failures++, RETRY_MS.last);
      this.#log.error({ err: error, retryMs }, "cannot restore the masquerade rules");
      this.#retry = setTimeout(() => this.#repair(), retryMs);
    }
  }

  /** Both tables as the kernel has them, "" for one that is not there. Handles count up with each rewriting. */
  #listing(): string {
    return masqueradeTables(this.#config)
      .map(({ family, table }) => {
        try {
          return JSON.stringify(this.#nft.list(`list table ${family} ${table}`).nftables);
        } catch (error) {
          if (isNotFound(error)) return "";
          throw error;
        }
      })
      .join("\n");
  }
}
