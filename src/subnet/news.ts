import { setImmediate as nextTurn } from "node:timers/promises";

/**
 * Takes messages as they come and tells that there are some: many that come together, or while whoever is told is busy
 * with those before, are one piece of news.
 */
export class News {
  #isThere = false;
  #end: { readonly error?: unknown } | undefined;
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
    while (!this.#isThere && !this.#end)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    // What has arrived already and was not read yet belongs to it.
    await nextTurn();
    if (this.#isThere) {
      this.#isThere = false;
      return true;
    }
    if (this.#end && "error" in this.#end) throw this.#end.error;
    return false;
  }
}
