import { setTimeout as sleep } from "node:timers/promises";
import type { LeaseAttrs } from "../formats/flannel/index.ts";
import type { Lease, SubnetManager } from "../subnet/index.ts";
import { messageOf } from "./errors.ts";
import type { Log } from "./log.ts";

const FIRST_DELAY_MS = 200;
const LAST_DELAY_MS = 30_000;

export interface OwnLeaseOptions {
  readonly subnets: Pick<SubnetManager, "keep" | "move">;
  readonly lease: Lease;
  readonly renewMarginMs: number;
  readonly log: Log;
}

/** This node's lease: kept, and published anew when the node is reached at another address. */
export class OwnLease {
  readonly #options: OwnLeaseOptions;
  #lease: Lease;
  /** What the others shall be told. */
  #attrs: LeaseAttrs;
  /** Ends what goes on, for there is something else to tell. */
  #news = new AbortController();

  constructor(options: OwnLeaseOptions) {
    this.#options = options;
    this.#lease = options.lease;
    this.#attrs = options.lease.attrs;
  }

  /** As it was last published. */
  get lease(): Lease {
    return this.#lease;
  }

  /** What the others are to be told from now on. */
  publish(addresses: Pick<LeaseAttrs, "publicIp" | "publicIpv6">): void {
    const { publicIpv6: _old, ...attrs } = this.#attrs;
    this.#attrs = { ...attrs, ...addresses };
    this.#news.abort();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { subnets, renewMarginMs } = this.#options;
    while (!signal.aborted) {
      this.#news = new AbortController();
      const until = AbortSignal.any([signal, this.#news.signal]);
      if (isSame(this.#attrs, this.#lease.attrs))
        await subnets.keep(this.#lease, until, renewMarginMs, (now) => {
          this.#lease = now;
        });
      else await this.#move(until);
    }
  }

  async #move(until: AbortSignal): Promise<void> {
    const { subnets, log } = this.#options;
    const { publicIp, publicIpv6 } = this.#attrs;
    const addresses = [publicIp, publicIpv6].filter(Boolean).join(", ");
    for (let delayMs = FIRST_DELAY_MS; !until.aborted; delayMs = Math.min(2 * delayMs, LAST_DELAY_MS)) {
      try {
        this.#lease = await subnets.move(this.#lease, this.#attrs);
        log.info({ publicIp, ...(publicIpv6 && { publicIpv6 }) }, `the other nodes are told of ${addresses}`);
        return;
      } catch (error) {
        const again = `cannot tell the other nodes of ${addresses} yet: ${messageOf(error)}`;
        log.warn({ err: error, retryMs: delayMs }, again);
        await sleep(delayMs, undefined, { signal: until }).catch(() => {});
      }
    }
  }
}

function isSame(a: LeaseAttrs, b: LeaseAttrs): boolean {
  return a.publicIp === b.publicIp && a.publicIpv6 === b.publicIpv6;
}
