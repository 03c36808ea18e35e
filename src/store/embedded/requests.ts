// What Put, DeleteRange and Txn do to a Transaction, and what they answer. No request is half done: an error anywhere
// means that the Transaction is thrown away.
import {
  COMPARE_RESULT,
  COMPARE_TARGET,
  type DeleteRangeRequest,
  type DeleteRangeResponse,
  type PbCompare,
  type PutRequest,
  type PutResponse,
  type RequestOp,
  type ResponseHeader,
  type ResponseOp,
  type TxnRequest,
  type TxnResponse,
} from "../etcdserverpb/types.ts";
import { etcdErrors } from "./etcd-status.ts";
import { type Change, inRange, type KeyRange, keyRange } from "./keyspace.ts";
import { checkRevision, evaluateRange, toKeyValue } from "./range.ts";
import type { Transaction } from "./transaction.ts";

const MAX_TXN_OPS = 128;
const MAX_TXN_DEPTH = 16;
const MAX_REQUEST_BYTES = 1.5 * 1024 * 1024;

export interface Evaluation {
  readonly transaction: Transaction;
  /** Also true of "0", no lease. */
  readonly hasLease: (id: string) => boolean;
  /** The header of an answer that was given at `revision`. */
  readonly header: (revision: number) => ResponseHeader;
}

export function evaluatePut(at: Evaluation, request: PutRequest): PutResponse {
  checkPut(request);
  const key = request.key.toString("latin1");
  const previous = at.transaction.get(key);
  if (!at.hasLease(request.lease)) throw etcdErrors.LeaseNotFound();
  if ((request.ignore_value || request.ignore_lease) && !previous) throw etcdErrors.KeyNotFound();
  const value = request.ignore_value && previous ? previous.value : request.value;
  const lease = request.ignore_lease && previous ? previous.lease : request.lease;
  at.transaction.put(key, value, lease);
  return { header: headerNow(at), prev_kv: request.prev_kv && previous ? toKeyValue(previous) : null };
}

export function evaluateDeleteRange(at: Evaluation, request: DeleteRangeRequest): DeleteRangeResponse {
  if (request.key.length === 0) throw etcdErrors.EmptyKey();
  const gone = at.transaction.list(keyRange(request.key, request.range_end));
  for (const { key } of gone) at.transaction.delete(key);
  return {
    header: headerNow(at),
    deleted: String(gone.length),
    prev_kvs: request.prev_kv ? gone.map((change) => toKeyValue(change)) : [],
  };
}

export function evaluateTxn(at: Evaluation, request: TxnRequest): TxnResponse {
  checkTxn(request, 1);
  writesOf(request.success);
  writesOf(request.failure);
  const path = choosePath(at, request);
  checkRevisions(at, path);
  const { succeeded, responses } = runPath(at, path);
  return { header: headerNow(at), succeeded, responses };
}

/** Which branch each transaction takes, inner ones too: decided before anything is done, and so is what is wrong. */
interface Path {
  readonly succeeded: boolean;
  readonly steps: readonly { readonly op: RequestOp; readonly inner: Path | undefined }[];
}

function choosePath(at: Evaluation, request: TxnRequest): Path {
  const succeeded = request.compare.every((compare) => holds(at.transaction, compare));
  const steps = (succeeded ? request.success : request.failure).map((op) => {
    const { request_put: put, request_txn: txn } = op;
    const needsKey = put?.ignore_value || put?.ignore_lease;
    if (put && needsKey && !at.transaction.get(put.key.toString("latin1"))) throw etcdErrors.KeyNotFound();
    if (put && !at.hasLease(put.lease)) throw etcdErrors.LeaseNotFound();
    return { op, inner: txn ? choosePath(at, txn) : undefined };
  });
  return { succeeded, steps };
}

/** After all puts, as in etcd: which of two errors is told depends on it. */
function checkRevisions(at: Evaluation, { steps }: Path): void {
  for (const { op, inner } of steps) {
    if (op.request_range) checkRevision(at.transaction, op.request_range);
    if (inner) checkRevisions(at, inner);
  }
}

function runPath(at: Evaluation, { succeeded, steps }: Path): Omit<TxnResponse, "header"> {
  return { succeeded, responses: steps.map(({ op, inner }) => runOp(at, op, inner)) };
}

function runOp(at: Evaluation, op: RequestOp, inner: Path | undefined): ResponseOp {
  if (inner) {
    const answer = runPath(at, inner);
    return { response_txn: { header: headerNow(at), ...answer } };
  }
  if (op.request_put) return { response_put: evaluatePut(at, op.request_put) };
  if (op.request_delete_range) return { response_delete_range: evaluateDeleteRange(at, op.request_delete_range) };
  if (op.request_range)
    return { response_range: { ...evaluateRange(at.transaction, op.request_range), header: headerNow(at) } };
  return {};
}

function headerNow(at: Evaluation): ResponseHeader {
  return at.header(at.transaction.revision);
}

function holds(transaction: Transaction, compare: PbCompare): boolean {
  const range = keyRange(compare.key, compare.range_end);
  const found = compare.range_end.length > 0 ? transaction.list(range) : [transaction.get(range.first)];
  if (found.length === 0) return compare.target !== COMPARE_TARGET.VALUE && holdsFor(undefined, compare);
  return found.every((change) => holdsFor(change, compare));
}

/** A key that is not there has zero for every number, and no value that anything could be compared with. */
function holdsFor(change: Change | undefined, compare: PbCompare): boolean {
  if (compare.target === COMPARE_TARGET.VALUE)
    return change !== undefined && isResult(compare.result, Buffer.compare(change.value, compare.value));
  const [actual, wanted] = {
    [COMPARE_TARGET.VERSION]: [change?.version, compare.version] as const,
    [COMPARE_TARGET.CREATE]: [change?.create, compare.create_revision] as const,
    [COMPARE_TARGET.MOD]: [change?.main, compare.mod_revision] as const,
    [COMPARE_TARGET.LEASE]: [change?.lease, compare.lease] as const,
  }[compare.target as 0] ?? [0, "0"];
  const difference = BigInt(actual ?? 0) - BigInt(wanted);
  return isResult(compare.result, difference < 0n ? -1 : difference > 0n ? 1 : 0);
}

function isResult(wanted: number, order: number): boolean {
  switch (wanted) {
    case COMPARE_RESULT.EQUAL:
      return order === 0;
    case COMPARE_RESULT.NOT_EQUAL:
      return order !== 0;
    case COMPARE_RESULT.GREATER:
      return order > 0;
    case COMPARE_RESULT.LESS:
      return order < 0;
    default:
      return true;
  }
}

function checkPut(request: PutRequest): void {
  if (request.key.length === 0) throw etcdErrors.EmptyKey();
  if (request.ignore_value && request.value.length > 0) throw etcdErrors.ValueProvided();
  if (request.ignore_lease && request.lease !== "0") throw etcdErrors.LeaseProvided();
  if (request.key.length + request.value.length > MAX_REQUEST_BYTES) throw etcdErrors.RequestTooLarge();
}

/** What has to be right in both branches, whichever is taken. */
function checkTxn(request: TxnRequest, depth: number): void {
  if (depth > MAX_TXN_DEPTH) throw etcdErrors.TooManyOps();
  if (Math.max(request.compare.length, request.success.length, request.failure.length) > MAX_TXN_OPS)
    throw etcdErrors.TooManyOps();
  if (request.compare.some((compare) => compare.key.length === 0)) throw etcdErrors.EmptyKey();
  for (const branch of [request.success, request.failure]) {
    for (const op of branch) {
      if (op.request_put) checkPut(op.request_put);
      if (op.request_range?.key.length === 0 || op.request_delete_range?.key.length === 0) throw etcdErrors.EmptyKey();
      if (op.request_txn) checkTxn(op.request_txn, depth + 1);
    }
  }
}

/**
 * What a branch may put and delete, inner transactions' both branches included.
 * @throws {EtcdStatus} when it puts a key twice, or puts and deletes it
 */
function writesOf(branch: readonly RequestOp[]): { puts: Set<string>; deletes: KeyRange[] } {
  const puts = new Set<string>();
  // As in etcd, a range without an end is not looked at here.
  const deletes = branch
    .flatMap(({ request_delete_range: request }) => (request ? [keyRange(request.key, request.range_end)] : []))
    .filter(({ end }) => end !== undefined);
  const add = (keys: Iterable<string>): void => {
    for (const key of keys) {
      if (puts.has(key) || deletes.some((range) => inRange(key, range))) throw etcdErrors.DuplicateKey();
      puts.add(key);
    }
  };
  for (const { request_txn: inner } of branch) {
    if (!inner) continue;
    // Only one of the two will be done, so both may put the same key.
    const [success, failure] = [writesOf(inner.success), writesOf(inner.failure)];
    add(new Set([...success.puts, ...failure.puts]));
    deletes.push(...success.deletes, ...failure.deletes);
  }
  for (const { request_put: put } of branch) if (put) add([put.key.toString("latin1")]);
  return { puts, deletes };
}
