/**
 * Runs one pass after the other, whenever something may have changed: a trigger during a pass leads to one more pass,
 * many triggers to one. What changed is nobody's business here; each pass looks at everything.
 *
 * Times are performance.now()'s: a node's clock may be set back by hours, and no pass waits for those.
 */
export class ReconcileLoop {
  readonly #pass: () => Promise<{ readonly retryAtMs?: number | undefined }>;
  readonly #resyncMs: number;
  #dueAt = Number.POSITIVE_INFINITY;
  #passSince: number | undefined;
  #wake: (() => void) | undefined;

  /** @param pass may say when it wants to run again at the latest; must not throw */
  constructor(pass: () => Promise<{ readonly retryAtMs?: number | undefined }>, resyncMs: number) {
    this.#pass = pass;
    this.#resyncMs = resyncMs;
  }

  /** Asks for a pass within `delayMs`; a small delay gathers events that come in bursts. */
  trigger(delayMs = 0): void {
    const at = performance.now() + delayMs;
    if (at >= this.#dueAt) return;
    this.#dueAt = at;
    this.#wake?.();
  }

  /** For how long a pass has been under way, or due and not begun; 0 when there is nothing to do. */
  get lateMs(): number {
    return Math.max(0, performance.now() - (this.#passSince ?? this.#dueAt));
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#untilDue(signal);
      if (signal.aborted) return;
      this.#dueAt = performance.now() + this.#resyncMs;
      this.#passSince = performance.now();
      const { retryAtMs } = await this.#pass();
      this.#passSince = undefined;
      if (retryAtMs !== undefined && retryAtMs < this.#dueAt) this.#dueAt = retryAtMs;
    }
  }

  async #untilDue(signal: AbortSignal): Promise<void> {
    for (
      let wait = this.#dueAt - performance.now();
      wait > 0 && !signal.aborted;
      wait = this.#dueAt - performance.now()
    ) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, Math.min(wait, 2 ** 31 - 1));
        signal.addEventListener("abort", done);
        this.#wake = done;
        function done(): void {
          clearTimeout(timer);
          signal.removeEventListener("abort", done);
          resolve();
        }
      });
      this.#wake = undefined;
    }
  }
}
