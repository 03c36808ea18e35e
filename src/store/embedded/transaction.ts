import { type Change, inRange, type KeyRange, type KeySpace, tombstone } from "./keyspace.ts";

/** What one request does to the key space: sees its own writes, and leaves no trace unless committed. */
export class Transaction {
  readonly #space: KeySpace;
  /** What it wrote, the last of each key. */
  readonly #written = new Map<string, Change>();
  readonly changes: Change[] = [];

  constructor(space: KeySpace) {
    this.#space = space;
  }

  /** The revision that a reader of this transaction's writes sees. */
  get revision(): number {
    return this.#space.revision + (this.changes.length > 0 ? 1 : 0);
  }

  get compacted(): number {
    return this.#space.compacted;
  }

  get(key: string): Change | undefined {
    const written = this.#written.get(key);
    if (!written) return this.#space.at(key, this.#space.revision);
    return written.version > 0 ? written : undefined;
  }

  /** At `revision`, or now with what this transaction wrote. */
  list(range: KeyRange, revision?: number): Change[] {
    const isNow = revision === undefined || revision > this.#space.revision;
    const keys = this.#space.keysIn(range);
    if (isNow && this.#written.size > 0) {
      const added = [...this.#written.keys()].filter((key) => inRange(key, range));
      if (added.length > 0) {
        const all = [...new Set([...keys, ...added])].sort(byBytes);
        return all.map((key) => this.get(key)).filter((change) => change !== undefined);
      }
    }
    const at = isNow ? this.#space.revision : revision;
    return keys.map((key) => this.#space.at(key, at)).filter((change) => change !== undefined);
  }

  put(key: string, value: Buffer, lease: string): void {
    const previous = this.get(key);
    const main = this.#space.revision + 1;
    this.#write({
      key,
      main,
      sub: this.changes.length,
      create: previous?.create ?? main,
      version: (previous?.version ?? 0) + 1,
      value,
      lease,
    });
  }

  delete(key: string): void {
    this.#write(tombstone(key, this.#space.revision + 1, this.changes.length));
  }

  #write(change: Change): void {
    this.#written.set(change.key, change);
    this.changes.push(change);
  }
}

/** The order of latin1 strings, which is that of the bytes they stand for. */
function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
