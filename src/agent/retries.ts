/** When to try again what failed: twice as late after each failure, per thing, so that one never delays another. */
export class Retries {
  readonly #firstMs: number;
  readonly #lastMs: number;
  readonly #failed = new Map<string, { attempts: number; at: number }>();

  constructor(options: { readonly firstMs: number; readonly lastMs: number }) {
    this.#firstMs = options.firstMs;
    this.#lastMs = options.lastMs;
  }

  /** Notes one more failure; returns how many there were in a row. */
  failed(key: string, now: number): number {
    const attempts = (this.#failed.get(key)?.attempts ?? 0) + 1;
    const delay = Math.min(this.#firstMs * 2 ** (attempts - 1), this.#lastMs);
    this.#failed.set(key, { attempts, at: now + delay });
    return attempts;
  }

  /** Whether it failed so recently that it shall not be tried now. */
  isWaiting(key: string, now: number): boolean {
    const failure = this.#failed.get(key);
    return failure !== undefined && failure.at > now;
  }

  /** Forgets all that did not fail this time: it went well, or nobody wants it any more. */
  keepOnly(keys: ReadonlySet<string>): void {
    for (const key of this.#failed.keys()) if (!keys.has(key)) this.#failed.delete(key);
  }

  /** The failed things. */
  get keys(): readonly string[] {
    return [...this.#failed.keys()];
  }

  /** When the next is due; undefined: nothing failed. */
  nextAt(): number | undefined {
    const times = [...this.#failed.values()].map((failure) => failure.at);
    return times.length > 0 ? Math.min(...times) : undefined;
  }
}
