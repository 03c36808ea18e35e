import type { BaseLogger } from "pino";
import type { Nft } from "../kernel/index.ts";
import type { MasqueradeConfig } from "./ruleset.ts";

export type Log = Pick<BaseLogger, "debug" | "info" | "warn" | "error">;

/** Flannel's traffic manager: keeps the masquerade and forward rules of one namespace as they should be. */
export class Masquerade implements Disposable {
  readonly #nft: Nft;
  readonly #config: MasqueradeConfig;
  readonly #log: Log;

  constructor(nft: Nft, config: MasqueradeConfig, log: Log) {
    this.#nft = nft;
    this.#config = config;
    this.#log = log;
  }

  /** Makes the tables what they should be, in one transaction; writes nothing when they are. Returns whether it wrote. */
  ensure(): boolean {
    throw new Error(`not yet: ${this.#nft} ${this.#config} ${this.#log}`);
  }

  /** Ensures again whenever somebody else touches the tables, until disposed. */
  watch(): Disposable {
    throw new Error("not yet");
  }

  /** Removes both tables. */
  cleanup(): void {
    throw new Error("not yet");
  }

  [Symbol.dispose](): void {}
}
