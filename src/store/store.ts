/** A key with its value as the store holds it (etcd's `mvccpb.KeyValue`). */
export interface KeyValue {
  readonly key: string;
  readonly value: Uint8Array;
  /** `value` read as UTF-8. */
  readonly valueText: string;
  readonly createRevision: bigint;
  readonly modRevision: bigint;
  readonly version: bigint;
  /** 0n: none. */
  readonly lease: bigint;
}

/** A condition of a transaction. `version` 0n: there is no such key. */
export type Compare =
  | {
      readonly key: string;
      readonly target: "version" | "createRevision" | "modRevision" | "lease";
      /** Default `=`. */
      readonly operator?: CompareOperator;
      readonly value: bigint;
    }
  | {
      readonly key: string;
      readonly target: "value";
      readonly operator?: CompareOperator;
      readonly value: string;
    };
export type CompareOperator = "=" | "!=" | ">" | "<";

/** One step of a transaction. */
export type Op =
  | { readonly op: "put"; readonly key: string; readonly value: string; readonly lease?: bigint }
  | { readonly op: "get"; readonly key: string }
  | { readonly op: "list"; readonly prefix: string }
  | { readonly op: "delete"; readonly key: string }
  | { readonly op: "deletePrefix"; readonly prefix: string };

export interface TxnResult {
  /** Whether every compare held, so `success` was done; otherwise `failure`. */
  readonly succeeded: boolean;
  readonly revision: bigint;
  /** One per Op, in order. */
  readonly responses: readonly OpResult[];
}

export interface OpResult {
  /** What get and list found. */
  readonly kvs: readonly KeyValue[];
  /** How many keys delete and deletePrefix removed. */
  readonly deleted: number;
}

export interface WatchEvent {
  readonly type: "put" | "delete";
  /** Of a delete: the key and the revision that removed it; no value. */
  readonly kv: KeyValue;
}

export type WatchMessage =
  | { readonly type: "snapshot"; readonly revision: bigint; readonly kvs: readonly KeyValue[] }
  | { readonly type: "events"; readonly revision: bigint; readonly events: readonly WatchEvent[] };

export interface StoreState {
  readonly connected: boolean;
  /** Why it is not connected, or what went wrong last. */
  readonly lastError?: string;
  readonly counts?: StoreCounts;
  /** When the store last said anything: an answer, or an event of a watch. Wall clock, ms. */
  readonly heardAtMs?: number;
}

/** What a client has been through since it was opened. */
export interface StoreCounts {
  /** Times it answered again after it had been lost. */
  readonly reconnects: number;
  /** Watches that went on where they had been interrupted. */
  readonly watchResumes: number;
  /** Watches that had to begin anew: what they had missed was compacted, or the store had lost its data. */
  readonly watchRestarts: number;
}

/**
 * A key-value store with revisions, transactions, leases and watches: the etcd v3 data model.
 *
 * Calls fail with EtcdError after a bounded time; whoever needs the answer asks again. Only watch() goes on for ever.
 */
export interface Store extends AsyncDisposable {
  get(key: string): Promise<KeyValue | undefined>;
  /** Every key that begins with `prefix`, in key order, of one revision. */
  list(prefix: string): Promise<{ kvs: KeyValue[]; revision: bigint }>;
  /** Returns the new revision. */
  put(key: string, value: string, options?: { lease?: bigint }): Promise<bigint>;
  /** Returns whether it was there. */
  delete(key: string): Promise<boolean>;
  /** Returns how many there were. */
  deletePrefix(prefix: string): Promise<number>;
  txn(txn: { compare: readonly Compare[]; success: readonly Op[]; failure?: readonly Op[] }): Promise<TxnResult>;
  /** A new lease; keys put with it vanish with it. */
  grant(ttlSeconds: number): Promise<bigint>;
  /** Also of a lease that is gone already. */
  revoke(lease: bigint): Promise<void>;
  /** Gives the lease its whole time again; returns that in seconds, undefined: there is no such lease (any more). */
  keepAlive(lease: bigint): Promise<number | undefined>;
  /** undefined: there is no such lease (any more). */
  timeToLive(lease: bigint): Promise<{ ttlSeconds: number; grantedTtlSeconds: number } | undefined>;
  /**
   * First a snapshot, then what changes, in order and without gaps: it reconnects and resumes by revision by itself,
   * and gives a new snapshot when the store has compacted what was missed. Ends only with `signal`, without an error.
   */
  watch(prefix: string, signal: AbortSignal): AsyncIterable<WatchMessage>;
  state(): StoreState;
}
