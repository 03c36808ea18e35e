/**
 * Things found by a number and a text that exist already, such as a device's index and an address: to make one key of
 * the two, thousands of times a pass, is what would cost most.
 */
export class Table<T> {
  readonly #rows = new Map<number, Map<string, T>>();

  get(number: number, text: string): T | undefined {
    return this.#rows.get(number)?.get(text);
  }

  set(number: number, text: string, thing: T): void {
    const row = this.#rows.get(number);
    if (row) row.set(text, thing);
    else this.#rows.set(number, new Map([[text, thing]]));
  }

  delete(number: number, text: string): void {
    this.#rows.get(number)?.delete(text);
  }

  /** set(), or delete() for a list that has become empty. */
  put(number: number, text: string, list: T & readonly unknown[]): void {
    if (list.length > 0) this.set(number, text, list);
    else this.delete(number, text);
  }

  values(): T[] {
    return [...this.#rows.values()].flatMap((row) => [...row.values()]);
  }
}
