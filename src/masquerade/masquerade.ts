import type { BaseLogger } from "pino";

export type Log = Pick<BaseLogger, "debug" | "info" | "warn" | "error">;

/** Flannel's traffic manager: keeps the masquerade and forward rules of one namespace as they should be. */
export interface Masquerade extends Disposable {
  readonly mode: "nft" | "iptables";
  /** Makes the rules what they should be; writes nothing when they are. Returns whether it wrote. */
  ensure(): boolean | Promise<boolean>;
  /** Ensures now, and again whenever somebody else changes the rules, until disposed of. */
  watch(): Disposable | Promise<Disposable>;
  /** Whether the rules are what they should be: asked of the kernel now (nft), or as last seen (iptables). */
  isInPlace(): boolean;
  /** Stops watching and removes every rule of this mode, of both daemons. */
  cleanup(): void | Promise<void>;
}
