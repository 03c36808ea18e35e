// Keeping a lease:
//
//              +--- margin before its end: renew ---+
//              v                                    |
//   watch -> [ours, with a lease] <-----------------+
//     |      [ours, without a lease]   a reservation: nothing to do
//     |      [gone]                    put it back, the same subnet
//     |      [another node's]          say so, wait until it is gone, put it back
//     +----> [ours, other attributes]  put ours back
//
// Whatever happens, nothing but the store is touched: the datapath stays as it is.
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { formatLeaseAttrs, formatSubnetKey, parseLeaseAttrs } from "../formats/flannel/index.ts";
import type { Compare, KeyValue, Log, Store } from "../store/index.ts";
import { putLease } from "./acquire.ts";
import { isSameNode, type Lease } from "./lease.ts";
import { PRESENCE_PERIOD_MS, type Presence } from "./presence.ts";

const FIRST_DELAY_MS = 1000;
const LAST_DELAY_MS = 60_000;
/**
 * The store is asked so often how long the lease has: one whose clock was set, or that was restored from a copy, may have
 * another opinion than last time.
 */
const ASK_AGAIN_MS = 20_000;
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;
const NO_TIME_LEFT = { ttlSeconds: 0, grantedTtlSeconds: 0 } as const;

export interface Keeping {
  readonly store: Store;
  /** `<prefix>/subnets/`. */
  readonly directory: string;
  readonly lease: Lease;
  readonly renewMarginMs: number;
  readonly presence: Presence;
  readonly onChange: (lease: Lease) => void;
  readonly log: Log;
}

/** Ends with `signal`, and with nothing else. */
export async function keepLease(keeping: Keeping, signal: AbortSignal): Promise<void> {
  await Promise.all([keepPresence(keeping, signal), new Keeper(keeping, signal).run()]);
}

async function keepPresence({ presence, lease, log }: Keeping, signal: AbortSignal): Promise<void> {
  let isTold = false;
  while (!signal.aborted) {
    await pause(PRESENCE_PERIOD_MS, signal);
    if (signal.aborted) return;
    try {
      await presence.claim(lease.attrs);
      isTold = false;
    } catch (error) {
      if (!isTold) log.error({ err: error }, "subnet: cannot tell the other nodes that this one is alive");
      isTold = true;
    }
  }
}

class Keeper {
  readonly #keeping: Keeping;
  readonly #signal: AbortSignal;
  readonly #key: string;
  readonly #value: string;
  /** The key as the store last showed it; null: gone. undefined: not seen yet. */
  #seen: KeyValue | null | undefined;
  #defendAfterMs = 0;
  #defenceDelayMs = FIRST_DELAY_MS;
  /** Ends the wait of run() when there is something new to see. */
  #news: AbortController = new AbortController();

  constructor(keeping: Keeping, signal: AbortSignal) {
    this.#keeping = keeping;
    this.#signal = signal;
    this.#key = keeping.directory + formatSubnetKey(keeping.lease);
    this.#value = formatLeaseAttrs(keeping.lease.attrs);
  }

  async run(): Promise<void> {
    const watching = this.#watch();
    let delayMs = FIRST_DELAY_MS;
    while (!this.#signal.aborted) {
      const news = this.#news;
      let waitMs = LONGEST_TIMEOUT_MS;
      try {
        if (this.#seen !== undefined) waitMs = await this.#look(this.#seen);
        delayMs = FIRST_DELAY_MS;
      } catch (error) {
        waitMs = delayMs;
        delayMs = Math.min(2 * delayMs, LAST_DELAY_MS);
        this.#keeping.log.warn({ err: error, key: this.#key, retryMs: waitMs }, "subnet: cannot keep the lease yet");
      }
      await pause(waitMs, AbortSignal.any([this.#signal, news.signal]));
    }
    await watching;
  }

  async #watch(): Promise<void> {
    for await (const message of this.#keeping.store.watch(this.#key, this.#signal)) {
      const found = message.type === "snapshot" ? message.kvs : message.events.map(({ type, kv }) => ({ type, ...kv }));
      const own = found.findLast(({ key }) => key === this.#key);
      // The prefix of a key is also that of longer keys.
      if (!own && message.type === "events") continue;
      this.#seen = own && !("type" in own && own.type === "delete") ? own : null;
      this.#news.abort();
      this.#news = new AbortController();
    }
  }

  /** Does what is to be done now; returns how long there is nothing to do unless the key changes. */
  async #look(seen: KeyValue | null): Promise<number> {
    const { log, renewMarginMs, store } = this.#keeping;
    if (seen === null) {
      log.warn({ key: this.#key }, "subnet: the lease was lost; taking the same subnet again");
      return this.#put({ key: this.#key, target: "version", value: 0n });
    }
    if (seen.valueText !== this.#value) return this.#defend(seen);
    if (seen.lease === 0n) return LONGEST_TIMEOUT_MS;
    const { ttlSeconds, grantedTtlSeconds } = (await store.timeToLive(seen.lease)) ?? NO_TIME_LEFT;
    // A margin longer than the lease would renew it without end.
    const waitMs = 1000 * ttlSeconds - Math.min(renewMarginMs, 500 * grantedTtlSeconds);
    if (waitMs > 0) return Math.min(waitMs, ASK_AGAIN_MS);
    log.info({ key: this.#key }, "subnet: renewing the lease");
    return this.#put(isUnchanged(seen));
  }

  /** Somebody wrote over our key. */
  async #defend(seen: KeyValue): Promise<number> {
    const { lease, log } = this.#keeping;
    const fields = { key: this.#key, found: seen.valueText, own: this.#value };
    if (isAnotherNodes(seen, lease)) {
      log.error(fields, "subnet: another node has taken this node's subnet; stop one of the two, or restart this one");
      return LONGEST_TIMEOUT_MS;
    }
    // The first time at once; then ever later, for the other one may be putting its own back too.
    const dueMs = this.#defendAfterMs - performance.now();
    if (dueMs > 0) return dueMs;
    this.#defendAfterMs = performance.now() + this.#defenceDelayMs;
    this.#defenceDelayMs = Math.min(2 * this.#defenceDelayMs, LAST_DELAY_MS);
    log.warn(fields, "subnet: the lease was written over; putting it back");
    return this.#put(isUnchanged(seen), seen.lease === 0n);
  }

  async #put(condition: Compare, isReservation = false): Promise<number> {
    const { lease, onChange } = this.#keeping;
    const renewed = await putLease(this.#keeping, lease, this.#key, condition, isReservation);
    if (renewed) onChange(renewed);
    // Won or lost, the watch tells next what there is now.
    return LAST_DELAY_MS;
  }
}

function isUnchanged({ key, modRevision }: KeyValue): Compare {
  return { key, target: "modRevision", value: modRevision };
}

/** A value that nobody can read is nobody's. */
function isAnotherNodes(seen: KeyValue, own: Lease): boolean {
  try {
    return !isSameNode(parseLeaseAttrs(seen.valueText), own.attrs);
  } catch {
    return false;
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}
