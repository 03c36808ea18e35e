interface Step {
  readonly what: string;
  readonly inverse: () => void | Promise<void>;
}

/** What an ADD has done so far. When it fails, the inverses run backwards, each one tried whatever the others did. */
export class UndoStack {
  readonly #steps: Step[] = [];

  /** Push right after the step was done: `what` names it, for the day its inverse fails. */
  push(what: string, inverse: () => void | Promise<void>): void {
    this.#steps.push({ what, inverse });
  }

  /** @returns one line for each inverse that failed */
  async run(): Promise<string[]> {
    const failures: string[] = [];
    for (let step = this.#steps.pop(); step; step = this.#steps.pop())
      try {
        await step.inverse();
      } catch (e) {
        failures.push(`Cannot undo ${step.what}: ${e instanceof Error ? e.message : String(e)}`);
      }
    return failures;
  }
}
