import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";

/**
 * Whoever was told and was busy with it for a while is left alone for some times as long, but not for longer than this:
 * to look at 20,000 leases takes 20 ms, and in a burst each look shall be worth it. One piece of news that comes after
 * that is told at once.
 */
const REST = { times: 4, mostMs: 200 } as const;

/**
 * Takes messages as they come and tells that there are some: many that come together, or while whoever is told is busy
 * with those before, are one piece of news.
 */
export class News {
  #isThere = false;
  #end: { readonly error?: unknown } | undefined;
  #toldAt: number | undefined;
  #wake: () => void = () => {};

  /** Hands each to `take` at once, until the last. Does not reject: next() does. */
  async from<T>(messages: AsyncIterable<T>, take: (message: T) => void): Promise<void> {
    try {
      for await (const message of messages) {
        take(message);
        this.#isThere = true;
        this.#wake();
      }
      this.#end = {};
    } catch (error) {
      this.#end = { error };
    }
    this.#wake();
  }

  /** Waits for news; false: there will be none. Throws what ended the messages. */
  async next(): Promise<boolean> {
    const now = performance.now();
    const restUntil = now + Math.min(REST.times * (now - (this.#toldAt ?? now)), REST.mostMs);
    while (!this.#isThere && !this.#end)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    // What has arrived already and was not read yet belongs to it.
    const restMs = restUntil - performance.now();
    await (restMs >= 1 && !this.#end ? sleep(restMs) : nextTurn());
    if (this.#isThere) {
      this.#isThere = false;
      this.#toldAt = performance.now();
      return true;
    }
    if (this.#end && "error" in this.#end) throw this.#end.error;
    return false;
  }
}
