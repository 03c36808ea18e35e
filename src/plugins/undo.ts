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

/** For GC: does each step whatever became of those before. @throws the first error, when all were tried */
export async function inTurn(steps: readonly (() => void | Promise<void>)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of steps)
    try {
      await step();
    } catch (e) {
      errors.push(e);
    }
  if (errors.length > 0) throw errors[0];
}
