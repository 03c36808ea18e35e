import { EVENT_TYPE, type PbEvent, WATCH_FILTER, type WatchCreateRequest } from "../etcdserverpb/types.ts";
import { type Change, inRange, type KeyRange, type KeySpace, keyRange } from "./keyspace.ts";
import { toKeyValue } from "./range.ts";

/** Changes in one response at most, unless one revision alone has more: a slow reader gets the rest when it can. */
const MAX_CHANGES = 1000;

export interface Delivery {
  readonly events: PbEvent[];
  /** Everything up to here has been told. */
  readonly revision: number;
}

/** One watch of a stream: a range, and how far it has been told. */
export class Watcher {
  readonly id: string;
  readonly wantsProgress: boolean;
  readonly #range: KeyRange;
  readonly #filters: readonly number[];
  readonly #wantsPrevious: boolean;
  /** The first revision that it has not been told of. */
  next: number;

  constructor(id: string, request: WatchCreateRequest, next: number) {
    this.id = id;
    // A watch without a key is of every key.
    const key = request.key.length > 0 ? request.key : Buffer.from([0]);
    this.#range = keyRange(key, request.range_end);
    this.#filters = request.filters;
    this.#wantsPrevious = request.prev_kv;
    this.wantsProgress = request.progress_notify;
    this.next = next;
  }

  /** What there is to tell up to revision `until`; undefined: nothing. */
  take(keys: KeySpace, until: number): Delivery | undefined {
    while (this.next <= until) {
      const { changes, revision } = chunk(keys.changesBetween(this.next, until), until);
      this.next = revision + 1;
      const events = changes.filter((change) => this.#concerns(change)).map((change) => this.#event(keys, change));
      if (events.length > 0) return { events, revision };
    }
    return undefined;
  }

  #concerns({ key, version }: Change): boolean {
    const filter = version === 0 ? WATCH_FILTER.NODELETE : WATCH_FILTER.NOPUT;
    return inRange(key, this.#range) && !this.#filters.includes(filter);
  }

  #event(keys: KeySpace, change: Change): PbEvent {
    const previous = this.#wantsPrevious ? keys.at(change.key, change.main - 1) : undefined;
    return {
      type: change.version === 0 ? EVENT_TYPE.DELETE : EVENT_TYPE.PUT,
      kv: toKeyValue(change),
      prev_kv: previous ? toKeyValue(previous) : null,
    };
  }
}

/** The head of `changes`, never ending inside a revision, which a reader could not resume from. */
function chunk(changes: readonly Change[], until: number): { changes: readonly Change[]; revision: number } {
  const last = changes[MAX_CHANGES - 1];
  if (changes.length <= MAX_CHANGES || !last) return { changes, revision: until };
  return { changes: changes.filter((change) => change.main <= last.main), revision: last.main };
}
