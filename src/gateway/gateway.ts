import type { BaseLogger } from "pino";
import type { Nft } from "../kernel/index.ts";
import type { GatewayOptions } from "./plan.ts";

export type Log = Pick<BaseLogger, "debug" | "info" | "warn" | "error">;

/** The one thing the gateway needs of a Store: src/store's `watch`. */
export interface ServiceSource {
  watch(
    prefix: string,
    signal: AbortSignal,
  ): AsyncIterable<
    | { readonly type: "snapshot"; readonly kvs: readonly StoredValue[] }
    | {
        readonly type: "events";
        readonly events: readonly { readonly type: "put" | "delete"; readonly kv: StoredValue }[];
      }
  >;
}
export interface StoredValue {
  readonly key: string;
  readonly value: Uint8Array;
}

export interface GatewayConfig extends GatewayOptions {
  readonly nft: Nft;
  readonly store: ServiceSource;
  /** Default `/podpath/services`. */
  readonly prefix?: string;
  /** Default: IPv4 only. */
  readonly families?: readonly (4 | 6)[];
  readonly log: Log;
}

export interface GatewayStatus {
  readonly services: number;
  readonly endpointSlices: number;
  /** Values that could not be used, by key. */
  readonly badValues: ReadonlyMap<string, string>;
  readonly syncs: { readonly full: number; readonly partial: number; readonly failed: number };
}

/** kube-proxy's role for Services kept in the store: watches them and keeps `podpath-gateway` equal to the plan. */
export class Gateway {
  readonly #config: GatewayConfig;

  constructor(config: GatewayConfig) {
    this.#config = config;
  }

  /** Runs until the signal. A store outage, a bad value or a failed transaction is retried or skipped, never thrown. */
  run(signal: AbortSignal): Promise<void> {
    throw new Error(`not yet: ${signal} ${this.#config}`);
  }

  status(): GatewayStatus {
    throw new Error("not yet");
  }

  /** Resolves once the kernel holds the first whole plan. */
  ready(): Promise<void> {
    throw new Error("not yet");
  }

  /** Removes the tables. */
  cleanup(): void {
    throw new Error("not yet");
  }
}
