// The messages as they come out of the decoder: every field is there, int64 as decimal text, absent messages null.

export const SORT_ORDER = { NONE: 0, ASCEND: 1, DESCEND: 2 } as const;
export const SORT_TARGET = { KEY: 0, VERSION: 1, CREATE: 2, MOD: 3, VALUE: 4 } as const;
export const COMPARE_RESULT = { EQUAL: 0, GREATER: 1, LESS: 2, NOT_EQUAL: 3 } as const;
export const COMPARE_TARGET = { VERSION: 0, CREATE: 1, MOD: 2, VALUE: 3, LEASE: 4 } as const;
export const EVENT_TYPE = { PUT: 0, DELETE: 1 } as const;
export const WATCH_FILTER = { NOPUT: 0, NODELETE: 1 } as const;

/** An int64: decimal text, so that no bit is lost. */
export type Int64 = string;

export interface ResponseHeader {
  cluster_id: Int64;
  member_id: Int64;
  revision: Int64;
  raft_term: Int64;
}

export interface PbKeyValue {
  key: Buffer;
  create_revision: Int64;
  mod_revision: Int64;
  version: Int64;
  value: Buffer;
  lease: Int64;
}

export interface PbEvent {
  type: number;
  kv: PbKeyValue;
  prev_kv: PbKeyValue | null;
}

export interface RangeRequest {
  key: Buffer;
  range_end: Buffer;
  limit: Int64;
  revision: Int64;
  sort_order: number;
  sort_target: number;
  serializable: boolean;
  keys_only: boolean;
  count_only: boolean;
  min_mod_revision: Int64;
  max_mod_revision: Int64;
  min_create_revision: Int64;
  max_create_revision: Int64;
}

export interface RangeResponse {
  header: ResponseHeader;
  kvs: PbKeyValue[];
  more: boolean;
  count: Int64;
}

export interface PutRequest {
  key: Buffer;
  value: Buffer;
  lease: Int64;
  prev_kv: boolean;
  ignore_value: boolean;
  ignore_lease: boolean;
}

export interface PutResponse {
  header: ResponseHeader;
  prev_kv: PbKeyValue | null;
}

export interface DeleteRangeRequest {
  key: Buffer;
  range_end: Buffer;
  prev_kv: boolean;
}

export interface DeleteRangeResponse {
  header: ResponseHeader;
  deleted: Int64;
  prev_kvs: PbKeyValue[];
}

export interface RequestOp {
  request_range: RangeRequest | null;
  request_put: PutRequest | null;
  request_delete_range: DeleteRangeRequest | null;
  request_txn: TxnRequest | null;
}

export interface ResponseOp {
  response_range?: RangeResponse | null;
  response_put?: PutResponse | null;
  response_delete_range?: DeleteRangeResponse | null;
  response_txn?: TxnResponse | null;
}

export interface PbCompare {
  result: number;
  target: number;
  key: Buffer;
  range_end: Buffer;
  version: Int64;
  create_revision: Int64;
  mod_revision: Int64;
  value: Buffer;
  lease: Int64;
}

export interface TxnRequest {
  compare: PbCompare[];
  success: RequestOp[];
  failure: RequestOp[];
}

export interface TxnResponse {
  header: ResponseHeader;
  succeeded: boolean;
  responses: ResponseOp[];
}

export interface WatchCreateRequest {
  key: Buffer;
  range_end: Buffer;
  start_revision: Int64;
  progress_notify: boolean;
  filters: number[];
  prev_kv: boolean;
  watch_id: Int64;
  fragment: boolean;
}

export interface WatchRequest {
  create_request: WatchCreateRequest | null;
  cancel_request: { watch_id: Int64 } | null;
  progress_request: object | null;
}

export interface WatchResponse {
  header: ResponseHeader;
  watch_id: Int64;
  created: boolean;
  canceled: boolean;
  compact_revision: Int64;
  cancel_reason: string;
  events: PbEvent[];
}

export interface LeaseGrantResponse {
  header: ResponseHeader;
  ID: Int64;
  TTL: Int64;
}

export interface LeaseTimeToLiveResponse {
  header: ResponseHeader;
  ID: Int64;
  /** -1: there is no such lease. */
  TTL: Int64;
  grantedTTL: Int64;
  keys: Buffer[];
}

/** What is left out is the field's zero. */
export type Sent<T> = { readonly [K in keyof T]?: T[K] };
