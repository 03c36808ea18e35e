// Answers a RangeRequest as etcd does: what is filtered, sorted and cut, in that order.
import {
  type PbKeyValue,
  type RangeRequest,
  type RangeResponse,
  SORT_ORDER,
  SORT_TARGET,
} from "../etcdserverpb/types.ts";
import { etcdErrors } from "./etcd-status.ts";
import { type Change, keyRange } from "./keyspace.ts";
import type { Transaction } from "./transaction.ts";

/** What no revision is beyond. */
const NO_LIMIT = Number.POSITIVE_INFINITY;

export function evaluateRange(transaction: Transaction, request: RangeRequest): Omit<RangeResponse, "header"> {
  if (request.key.length === 0) throw etcdErrors.EmptyKey();
  const order = sortOrder(request);
  const revision = checkRevision(transaction, request);
  const found = transaction.list(keyRange(request.key, request.range_end), revision > 0 ? revision : undefined);
  const count = String(found.length);
  if (request.count_only) return { kvs: [], more: false, count };
  let kept = found.filter(revisionFilter(request));
  if (order) kept = kept.sort(order);
  const limit = Number(request.limit);
  const more = limit > 0 && kept.length > limit;
  if (more) kept = kept.slice(0, limit);
  return { kvs: kept.map((change) => toKeyValue(change, request.keys_only)), more, count };
}

/** The revision to read at, 0 for now. @throws {EtcdStatus} */
export function checkRevision(transaction: Transaction, request: RangeRequest): number {
  const revision = Number(request.revision);
  if (revision > transaction.revision) throw etcdErrors.FutureRev();
  if (revision > 0 && revision < transaction.compacted) throw etcdErrors.Compacted();
  return revision;
}

export function toKeyValue(change: Change, isKeyOnly = false): PbKeyValue {
  return {
    key: Buffer.from(change.key, "latin1"),
    create_revision: String(change.create),
    mod_revision: String(change.main),
    version: String(change.version),
    value: isKeyOnly ? Buffer.alloc(0) : change.value,
    lease: change.lease,
  };
}

function revisionFilter(request: RangeRequest): (change: Change) => boolean {
  const bound = (text: string, none: number): number => Number(text) || none;
  const [minMod, maxMod] = [bound(request.min_mod_revision, 0), bound(request.max_mod_revision, NO_LIMIT)];
  const [minCreate, maxCreate] = [bound(request.min_create_revision, 0), bound(request.max_create_revision, NO_LIMIT)];
  return ({ main, create }) => main >= minMod && main <= maxMod && create >= minCreate && create <= maxCreate;
}

const TARGETS: Readonly<Record<number, (a: Change, b: Change) => number>> = {
  [SORT_TARGET.KEY]: (a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0),
  [SORT_TARGET.VERSION]: (a, b) => a.version - b.version,
  [SORT_TARGET.CREATE]: (a, b) => a.create - b.create,
  [SORT_TARGET.MOD]: (a, b) => a.main - b.main,
  [SORT_TARGET.VALUE]: (a, b) => Buffer.compare(a.value, b.value),
};

/** undefined: by key, as it comes. */
function sortOrder({ sort_order, sort_target }: RangeRequest): ((a: Change, b: Change) => number) | undefined {
  const compare = TARGETS[sort_target];
  if (!compare || sort_order < SORT_ORDER.NONE || sort_order > SORT_ORDER.DESCEND) throw etcdErrors.InvalidSortOption();
  if (sort_order === SORT_ORDER.DESCEND) return (a, b) => compare(b, a);
  // Sorting by anything but the key without saying which way is upwards.
  return sort_target === SORT_TARGET.KEY ? undefined : compare;
}
