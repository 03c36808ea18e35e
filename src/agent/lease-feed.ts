import type { Lease, SubnetManager } from "../subnet/index.ts";

/** The sets of leases as they come, for one listener; the first can be waited for. */
export class LeaseFeed {
  /** The first whole set. */
  readonly first: Promise<readonly Lease[]>;
  /** Ends with the signal; rejects only by a bug. */
  readonly done: Promise<void>;
  #latest: readonly Lease[] = [];
  #onLeases: ((leases: readonly Lease[]) => void) | undefined;

  constructor(subnets: Pick<SubnetManager, "watch">, signal: AbortSignal) {
    let settle: { resolve(leases: readonly Lease[]): void; reject(error: unknown): void } | undefined;
    this.first = new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
    // Whoever waits for it hears of it; when nobody does it is no news.
    this.first.catch(() => {});
    this.done = this.#run(subnets, signal, (leases) => settle?.resolve(leases)).catch((error: unknown) => {
      settle?.reject(error);
      throw error;
    });
    this.done.then(
      () => settle?.reject(signal.reason),
      () => {},
    );
  }

  async #run(
    subnets: Pick<SubnetManager, "watch">,
    signal: AbortSignal,
    first: (leases: readonly Lease[]) => void,
  ): Promise<void> {
    for await (const leases of subnets.watch(signal)) {
      this.#latest = leases;
      first(leases);
      this.#onLeases?.(leases);
    }
  }

  /** Calls `onLeases` with the latest set and with each to come. */
  listen(onLeases: (leases: readonly Lease[]) => void): void {
    this.#onLeases = onLeases;
    onLeases(this.#latest);
  }
}
