// Every key with its versions: etcd's mvcc store. Revision 1 is the empty store, each writing transaction is one more;
// the changes inside one transaction are told apart by `sub`. Keys are latin1 strings, which sort as their bytes do.

import { crc32 } from "node:zlib";

/** One version of one key. `version` 0: a deletion. Never changed once made. */
export interface Change {
  readonly key: string;
  readonly main: number;
  readonly sub: number;
  readonly create: number;
  readonly version: number;
  readonly value: Buffer;
  /** `"0"`: none. */
  readonly lease: string;
}

/** From `first` up to, not including, `end`; `end` undefined: to the last key there is. */
export interface KeyRange {
  readonly first: string;
  readonly end: string | undefined;
}

const NO_VALUE = Buffer.alloc(0);

/** etcd's `key` and `range_end`: no end is the key alone, an end of one zero byte is "and all that follow". */
export function keyRange(key: Buffer, rangeEnd: Buffer): KeyRange {
  const first = key.toString("latin1");
  if (rangeEnd.length === 0) return { first, end: `${first}\0` };
  return { first, end: rangeEnd.length === 1 && rangeEnd[0] === 0 ? undefined : rangeEnd.toString("latin1") };
}

export function inRange(key: string, range: KeyRange): boolean {
  return key >= range.first && (range.end === undefined || key < range.end);
}

export function tombstone(key: string, main: number, sub: number): Change {
  return { key, main, sub, create: 0, version: 0, value: NO_VALUE, lease: "0" };
}

export class KeySpace {
  revision = 1;
  /** Reads below this revision fail; watches below it are cancelled. */
  compacted = -1;
  /** All keys that have a version, in order. */
  #keys: string[] = [];
  readonly #versions = new Map<string, Change[]>();
  /** What watches read: every change from the compacted revision on, in order. */
  #changes: Change[] = [];

  get size(): number {
    return this.#keys.length;
  }

  get changeCount(): number {
    return this.#changes.length;
  }

  /** The key's version at `revision`; undefined where it did not exist. */
  at(key: string, revision: number): Change | undefined {
    const versions = this.#versions.get(key);
    if (!versions) return undefined;
    const change = versions[upperBound(versions, (v) => v.main <= revision) - 1];
    return change && change.version > 0 ? change : undefined;
  }

  /** The keys of `range` that have any version, in order. */
  keysIn(range: KeyRange): string[] {
    const from = upperBound(this.#keys, (key) => key < range.first);
    const { end } = range;
    const to = end === undefined ? this.#keys.length : upperBound(this.#keys, (key) => key < end);
    return this.#keys.slice(from, to);
  }

  /** Takes in what has been decided (or read back from disk); changes come in order of their revisions. */
  apply(changes: readonly Change[]): void {
    for (const change of changes) {
      const versions = this.#versions.get(change.key);
      if (versions) versions.push(change);
      else {
        this.#versions.set(change.key, [change]);
        this.#insertKey(change.key);
      }
      this.#changes.push(change);
      this.revision = Math.max(this.revision, change.main);
    }
  }

  /** The changes from revision `from` to revision `to`, both included. */
  changesBetween(from: number, to: number): Change[] {
    const start = upperBound(this.#changes, (change) => change.main < from);
    const end = upperBound(this.#changes, (change) => change.main <= to);
    return this.#changes.slice(start, end);
  }

  /** The revision before the newest `count` changes: what may be compacted when only those are to be kept. */
  revisionBefore(count: number): number {
    return (this.#changes[this.#changes.length - count]?.main ?? 1) - 1;
  }

  /** Forgets what was overwritten or deleted before `revision`; reading at `revision` gives the same as before. */
  compact(revision: number): void {
    this.compacted = revision;
    for (const [key, versions] of this.#versions) {
      const last = upperBound(versions, (v) => v.main <= revision) - 1;
      const kept = versions.slice(versions[last]?.version === 0 ? last + 1 : Math.max(last, 0));
      if (kept.length === 0) this.#versions.delete(key);
      else if (kept.length !== versions.length) this.#versions.set(key, kept);
    }
    this.#keys = this.#keys.filter((key) => this.#versions.has(key));
    this.#changes = this.#changes.slice(upperBound(this.#changes, (change) => change.main < revision));
  }

  /** Every version that is kept, in order: what a snapshot has to hold. */
  allChanges(): Change[] {
    return [...this.#versions.values()].flat().sort((a, b) => a.main - b.main || a.sub - b.sub);
  }

  /** Of everything up to `revision` (0: all): two stores of one history have the same. */
  hash(revision: number): number {
    const until = revision || this.revision;
    return this.allChanges()
      .filter((change) => change.main <= until)
      .reduce((sum, { key, main, sub, value }) => crc32(value, crc32(`${key} ${main} ${sub}`, sum)), 0);
  }

  #insertKey(key: string): void {
    const last = this.#keys[this.#keys.length - 1];
    if (last === undefined || last < key) this.#keys.push(key);
    else
      this.#keys.splice(
        upperBound(this.#keys, (other) => other < key),
        0,
        key,
      );
  }
}

/** How many of `items`, which `holds` splits into a true head and a false tail, are in the head. */
function upperBound<T>(items: readonly T[], holds: (item: T) => boolean): number {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(items[middle] as T)) low = middle + 1;
    else high = middle;
  }
  return low;
}
