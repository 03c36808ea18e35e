import type { KeyValue, Store, WatchMessage } from "../../store/index.ts";

/** The watch of a store that lives in memory, for one watcher at a time: a snapshot, then each change as it is made. */
export class FakeStore implements Pick<Store, "watch"> {
  readonly #values = new Map<string, KeyValue>();
  #revision = 1n;
  #deliver: ((message: WatchMessage) => void) | undefined;

  put(key: string, value: string | object): void {
    const valueText = typeof value === "string" ? value : JSON.stringify(value);
    this.#revision++;
    const kv: KeyValue = {
      key,
      value: new TextEncoder().encode(valueText),
      valueText,
      createRevision: this.#values.get(key)?.createRevision ?? this.#revision,
      modRevision: this.#revision,
      version: (this.#values.get(key)?.version ?? 0n) + 1n,
      lease: 0n,
    };
    this.#values.set(key, kv);
    this.#deliver?.({ type: "events", revision: this.#revision, events: [{ type: "put", kv }] });
  }

  delete(key: string): void {
    const kv = this.#values.get(key);
    if (!kv) return;
    this.#values.delete(key);
    this.#revision++;
    this.#deliver?.({ type: "events", revision: this.#revision, events: [{ type: "delete", kv }] });
  }

  /** As after a compaction: everything anew. */
  resnapshot(): void {
    this.#deliver?.(this.#snapshot());
  }

  async *watch(_prefix: string, signal: AbortSignal): AsyncIterable<WatchMessage> {
    const queue: WatchMessage[] = [this.#snapshot()];
    let wake: () => void = () => {};
    this.#deliver = (message) => {
      queue.push(message);
      wake();
    };
    signal.addEventListener("abort", () => wake());
    while (!signal.aborted) {
      const message = queue.shift();
      if (message) yield message;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  }

  #snapshot(): WatchMessage {
    return { type: "snapshot", revision: this.#revision, kvs: [...this.#values.values()] };
  }
}
