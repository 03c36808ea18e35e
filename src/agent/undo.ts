import type { Log } from "./log.ts";

/** What to do to be where we were; runs backwards, once, and goes on past a step that fails. */
export class Undo implements AsyncDisposable {
  readonly #log: Log;
  #steps: { readonly what: string; readonly run: () => unknown }[] = [];

  constructor(log: Log) {
    this.#log = log;
  }

  push(what: string, run: () => unknown): void {
    this.#steps.push({ what, run });
  }

  /** Disposes of `resource` at the end. */
  use<T extends Disposable | AsyncDisposable>(what: string, resource: T): T {
    this.push(what, () =>
      Symbol.asyncDispose in resource ? resource[Symbol.asyncDispose]() : resource[Symbol.dispose](),
    );
    return resource;
  }

  /** All is well: there is nothing to undo any more. */
  forget(): void {
    this.#steps = [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step.run();
      } catch (error) {
        this.#log.warn({ err: error }, `cannot ${step.what}`);
      }
    }
  }
}
