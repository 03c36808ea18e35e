import type { Log } from "../../store/index.ts";

/** Keeps every line, and lets a test wait for one. */
export class TestLog implements Log {
  readonly lines: string[] = [];
  #waiting: (() => void)[] = [];

  debug(): void {}

  info(fields: object, message: string): void {
    this.#keep(fields, message);
  }

  warn(fields: object, message: string): void {
    this.#keep(fields, message);
  }

  error(fields: object, message: string): void {
    this.#keep(fields, message);
  }

  async waitFor(pattern: RegExp): Promise<void> {
    while (!this.lines.some((line) => pattern.test(line)))
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
  }

  #keep(fields: object, message: string): void {
    this.lines.push(
      `${JSON.stringify(fields, (_, value) => (typeof value === "bigint" ? String(value) : value))} ${message}`,
    );
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
