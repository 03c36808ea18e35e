import type { BaseLogger } from "pino";
import type { IpFamily } from "../formats/netip/index.ts";
import type { NetNs, Nft } from "../kernel/index.ts";
import type { Store } from "../store/index.ts";
import { KernelTable } from "./kernel-table.ts";
import { placeOf } from "./layout.ts";
import { StoredObjects } from "./objects.ts";
import { type GatewayOptions, planGateway } from "./plan.ts";
import { gatewayCleanup } from "./ruleset.ts";
import { type GatewayRuleset, gatewayRulesets, SERVICES_PREFIX } from "./wanted.ts";

export type Log = Pick<BaseLogger, "debug" | "info" | "warn" | "error">;

export interface GatewayConfig extends GatewayOptions {
  readonly nft: Nft;
  /** The namespace that `nft` is of, when it is not this process's own. */
  readonly ns?: NetNs;
  readonly store: Pick<Store, "watch">;
  /** Default `/podpath/services`. */
  readonly prefix?: string;
  /** Default: IPv4 only. */
  readonly families?: readonly IpFamily[];
  readonly log: Log;
}

export interface GatewayStatus {
  readonly services: number;
  readonly endpointSlices: number;
  /** Values that could not be used, and why, by key. */
  readonly badValues: ReadonlyMap<string, string>;
  /** What two Services claim, and one therefore has not got. */
  readonly skipped: readonly string[];
  readonly syncs: { readonly full: number; readonly partial: number; readonly failed: number };
}

/** A transaction that failed is tried again after a second, then after 2, 4, 8 and each further 16. */
const RETRY_MS = { first: 1000, last: 16_000 } as const;

interface FamilyTable {
  readonly family: IpFamily;
  readonly table: KernelTable;
}

/** kube-proxy's role for Services kept in the store: watches them and keeps `podpath-gateway` equal to the plan. */
export class Gateway {
  readonly #config: GatewayConfig;
  readonly #options: GatewayOptions;
  readonly #tables: readonly FamilyTable[];
  readonly #objects: StoredObjects;
  readonly #syncs = { full: 0, partial: 0, failed: 0 };
  readonly #ready = new Latch();
  #skipped: readonly string[] = [];
  #hasSnapshot = false;
  #timer: NodeJS.Timeout | undefined;
  #lastSyncMs = 0;
  #failures = 0;

  constructor(config: GatewayConfig) {
    const { clusterCidrs, serviceCidrs, nodeName, egress, families = [4], nft, ns, log } = config;
    this.#config = config;
    this.#options = {
      clusterCidrs,
      ...(serviceCidrs ? { serviceCidrs } : {}),
      ...(nodeName === undefined ? {} : { nodeName }),
      ...(egress ? { egress } : {}),
    };
    this.#tables = families.map((family) => ({ family, table: new KernelTable({ nft, ns, log }) }));
    this.#objects = new StoredObjects(this.#prefix, (key, reason) =>
      log.warn({ key, reason }, "a stored Service or EndpointSlice cannot be used and is passed over"),
    );
  }

  get #prefix(): string {
    return this.#config.prefix ?? SERVICES_PREFIX;
  }

  /**
   * Runs until the signal, and leaves the rules in place: connections go on without us. A store outage changes
   * nothing; a bad value is passed over; a transaction that fails is tried again.
   */
  async run(signal: AbortSignal): Promise<void> {
    const watches = this.#tables.map(({ family, table }) => {
      return this.#config.nft.watch(() => this.#onDrift(table), placeOf(family));
    });
    try {
      this.#installEmpty();
      for await (const message of this.#config.store.watch(`${this.#prefix}/`, signal)) {
        this.#objects.take(message);
        this.#hasSnapshot = true;
        this.#schedule();
      }
    } finally {
      clearTimeout(this.#timer);
      for (const watch of watches) watch[Symbol.dispose]();
    }
  }

  status(): GatewayStatus {
    return {
      services: this.#objects.services.length,
      endpointSlices: this.#objects.endpointSlices.length,
      badValues: this.#objects.bad,
      skipped: this.#skipped,
      syncs: { ...this.#syncs },
    };
  }

  /** What the tables should hold; undefined as long as the store has told nothing. */
  wanted(): GatewayRuleset[] | undefined {
    const families = this.#tables.map(({ family }) => family);
    return this.#hasSnapshot ? gatewayRulesets(this.#objects, this.#options, families) : undefined;
  }

  /** Resolves once the kernel holds what the store first told. */
  ready(): Promise<void> {
    return this.#ready.opened;
  }

  /** Removes the tables, for good when run() has ended. @throws {NftError} */
  cleanup(): void {
    this.#config.nft.apply(this.#tables.map(({ family }) => gatewayCleanup(family)).join(""));
    for (const { table } of this.#tables) table.forget();
  }

  /**
   * What needs no Service (egress, dropping of unallocated addresses) works before the store has answered. A table
   * that a predecessor left stays as it is until then: its Services go on.
   */
  #installEmpty(): void {
    this.#guard(() => {
      for (const { family, table } of this.#tables) {
        const empty = planGateway([], [], this.#options, family);
        if (!table.exists(empty)) table.write(empty);
      }
    });
  }

  #onDrift(table: KernelTable): void {
    this.#config.log.warn("the gateway's nftables had been changed by someone else; restoring them");
    table.forget();
    this.#schedule();
  }

  /** Many events together make one transaction: the longer one takes, the longer the next waits for company. */
  #schedule(delayMs: number = this.#lastSyncMs): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#hasSnapshot) this.#sync();
      else this.#installEmpty();
    }, delayMs);
  }

  #sync(): void {
    const started = performance.now();
    const isDone = this.#guard(() => {
      const { services, endpointSlices } = this.#objects;
      const skipped: string[] = [];
      for (const { family, table } of this.#tables) {
        const plan = planGateway(services, endpointSlices, this.#options, family);
        skipped.push(...plan.skipped);
        const kind = table.write(plan);
        if (kind !== "unchanged") this.#syncs[kind]++;
      }
      this.#tellSkipped(skipped);
    });
    this.#lastSyncMs = performance.now() - started;
    if (isDone) this.#ready.open();
  }

  #tellSkipped(skipped: readonly string[]): void {
    for (const reason of skipped)
      if (!this.#skipped.includes(reason)) this.#config.log.warn({ reason }, "a part of a Service is left out");
    this.#skipped = skipped;
  }

  /** Runs `f`; when it throws, says so and tries everything again later. */
  #guard(f: () => void): boolean {
    try {
      f();
      this.#failures = 0;
      return true;
    } catch (error) {
      this.#syncs.failed++;
      const retryMs = Math.min(RETRY_MS.first * 2 ** this.#failures++, RETRY_MS.last);
      this.#config.log.error({ err: error, retryMs }, "cannot write the gateway's nftables");
      for (const { table } of this.#tables) table.forget();
      this.#schedule(retryMs);
      return false;
    }
  }
}

/** A promise that is fulfilled from outside. */
class Latch {
  #release: () => void = () => {};
  readonly opened: Promise<void> = new Promise((resolve) => {
    this.#release = resolve;
  });

  open(): void {
    this.#release();
  }
}
