import { performance } from "node:perf_hooks";
import type { Change } from "./keyspace.ts";

/** A lease as the journal keeps it. */
export interface LeaseRecord {
  readonly id: string;
  readonly ttlSeconds: number;
  /** Wall clock, ms: the only one that goes on while no process runs. */
  readonly expiresAtMs: number;
}

interface HeldLease {
  record: LeaseRecord;
  /** Monotonic, ms: what counts while this process runs. */
  deadlineMs: number;
  readonly keys: Set<string>;
}

/** Leases' owners get this long to renew after a start, for they could not while no server ran. */
const GRACE_SECONDS = 60;
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** Which leases there are, until when, and which keys go with them. */
export class Lessor {
  readonly #leases = new Map<string, HeldLease>();
  readonly #leaseOfKey = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  readonly #onExpired: (id: string) => void;

  constructor(onExpired: (id: string) => void) {
    this.#onExpired = onExpired;
  }

  has(id: string): boolean {
    return this.#leases.has(id);
  }

  ids(): string[] {
    return [...this.#leases.keys()];
  }

  records(): LeaseRecord[] {
    return [...this.#leases.values()].map((lease) => lease.record);
  }

  get(id: string): { ttlSeconds: number; remainingSeconds: number; keys: string[] } | undefined {
    const lease = this.#leases.get(id);
    if (!lease) return undefined;
    const remainingSeconds = Math.max(0, Math.floor((lease.deadlineMs - performance.now()) / 1000));
    return { ttlSeconds: lease.record.ttlSeconds, remainingSeconds, keys: [...lease.keys].sort() };
  }

  /** Grants or renews; also what is read back from the journal. */
  apply(record: LeaseRecord): void {
    const leftMs = Math.min(record.ttlSeconds * 1000, record.expiresAtMs - Date.now());
    const lease = this.#leases.get(record.id);
    const deadlineMs = performance.now() + leftMs;
    if (lease) Object.assign(lease, { record, deadlineMs });
    else this.#leases.set(record.id, { record, deadlineMs, keys: new Set() });
    this.#schedule();
  }

  remove(id: string): void {
    const lease = this.#leases.get(id);
    for (const key of lease?.keys ?? []) this.#leaseOfKey.delete(key);
    this.#leases.delete(id);
    this.#schedule();
  }

  /** A key goes with the lease of its newest version. */
  follow(changes: readonly Change[]): void {
    for (const { key, lease } of changes) {
      const before = this.#leaseOfKey.get(key);
      if (before === lease) continue;
      if (before !== undefined) this.#leases.get(before)?.keys.delete(key);
      const after = this.#leases.get(lease);
      if (after) {
        after.keys.add(key);
        this.#leaseOfKey.set(key, lease);
      } else this.#leaseOfKey.delete(key);
    }
  }

  /** Lets leases expire from now on; those of an earlier process not before their owners could renew. */
  start(): void {
    const now = performance.now();
    for (const lease of this.#leases.values())
      lease.deadlineMs = Math.max(lease.deadlineMs, now + 1000 * Math.min(GRACE_SECONDS, lease.record.ttlSeconds));
    this.#isStarted = true;
    this.#schedule();
  }

  stop(): void {
    this.#isStarted = false;
    clearTimeout(this.#timer);
  }

  #isStarted = false;

  #schedule(): void {
    clearTimeout(this.#timer);
    if (!this.#isStarted || this.#leases.size === 0) return;
    // Not Math.min(...): clients choose how many there are, and a call takes some hundred thousand arguments only.
    let first = Number.POSITIVE_INFINITY;
    for (const { deadlineMs } of this.#leases.values()) first = Math.min(first, deadlineMs);
    const waitMs = Math.min(Math.max(0, Math.ceil(first - performance.now())), LONGEST_TIMEOUT_MS);
    this.#timer = setTimeout(() => {
      const now = performance.now();
      for (const [id, lease] of [...this.#leases]) if (lease.deadlineMs <= now) this.#onExpired(id);
      this.#schedule();
    }, waitMs);
  }
}
