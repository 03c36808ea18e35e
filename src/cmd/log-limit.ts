/** So many lines of one kind in so much time: a disk that a fault filled with its own story helps nobody. */
const LINES = 20;
const WINDOW_MS = 10_000;
/** Kinds that are remembered; a storm that says something else each time is one kind. */
const KINDS = 200;
const OTHER = "";

interface Kind {
  sinceMs: number;
  lines: number;
  suppressed: number;
}

/** Lets the first lines of each kind pass, and counts the rest. Lines are of one kind when they begin alike. */
export class LogLimit {
  readonly #kinds = new Map<string, Kind>();

  /** How many lines of this kind were left out before this one; undefined: this one is to be left out too. */
  take(message: string, nowMs: number): number | undefined {
    const kind = this.#kind(message, nowMs);
    if (nowMs - kind.sinceMs >= WINDOW_MS) Object.assign(kind, { sinceMs: nowMs, lines: 0 });
    if (kind.lines >= LINES) {
      kind.suppressed++;
      return undefined;
    }
    kind.lines++;
    const { suppressed } = kind;
    kind.suppressed = 0;
    return suppressed;
  }

  #kind(message: string, nowMs: number): Kind {
    // What varies comes after the first colon or digit: a name, a number, a reason.
    const beginning = message.split(/[:0-9]/, 1)[0] || message;
    const known = this.#kinds.get(beginning);
    if (known) return known;
    if (this.#kinds.size >= KINDS)
      for (const [key, { sinceMs, suppressed }] of this.#kinds)
        if (suppressed === 0 && nowMs - sinceMs >= WINDOW_MS) this.#kinds.delete(key);
    const key = this.#kinds.size < KINDS ? beginning : OTHER;
    const kind = this.#kinds.get(key) ?? { sinceMs: nowMs, lines: 0, suppressed: 0 };
    this.#kinds.set(key, kind);
    return kind;
  }
}
