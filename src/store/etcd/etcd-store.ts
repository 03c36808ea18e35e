import type { MethodDefinition } from "@grpc/grpc-js";
import { isNotFound } from "../errors.ts";
import { services } from "../etcdserverpb/services.ts";
import type {
  DeleteRangeRequest,
  DeleteRangeResponse,
  Int64,
  LeaseGrantResponse,
  LeaseTimeToLiveResponse,
  PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  Sent,
  TxnResponse,
} from "../etcdserverpb/types.ts";
import type { Log } from "../log.ts";
import type { Compare, KeyValue, Op, Store, StoreState, TxnResult, WatchMessage } from "../store.ts";
import type { CallOptions, Connection } from "./connection.ts";
import { fromPb, prefixRange } from "./keys.ts";
import { fromResponseOp, toPbCompare, toRequestOp } from "./txn.ts";
import { watchPrefix } from "./watch.ts";

type Method = MethodDefinition<never, unknown>;

export class EtcdStore implements Store {
  readonly #connection: Connection;
  readonly #log: Log | undefined;
  readonly #closed = new AbortController();

  constructor(connection: Connection, log: Log | undefined) {
    this.#connection = connection;
    this.#log = log;
  }

  async get(key: string): Promise<KeyValue | undefined> {
    const { kvs } = await this.#range({ key: Buffer.from(key) }, `get ${key}`);
    return kvs[0] && fromPb(kvs[0]);
  }

  list(prefix: string): Promise<{ kvs: KeyValue[]; revision: bigint }> {
    return this.#list(prefix);
  }

  async put(key: string, value: string, options: { lease?: bigint } = {}): Promise<bigint> {
    const request: Sent<PutRequest> = {
      key: Buffer.from(key),
      value: Buffer.from(value),
      lease: String(options.lease ?? 0n),
    };
    const response = await this.#kv<PutResponse>("Put", request, { operation: `put ${key}`, isRepeatable: false });
    return BigInt(response.header.revision);
  }

  async delete(key: string): Promise<boolean> {
    return (await this.#deleteRange({ key: Buffer.from(key) }, `delete ${key}`)) > 0;
  }

  deletePrefix(prefix: string): Promise<number> {
    return this.#deleteRange(prefixRange(prefix), `delete every key of ${prefix}`);
  }

  async txn(txn: { compare: readonly Compare[]; success: readonly Op[]; failure?: readonly Op[] }): Promise<TxnResult> {
    const { compare, success, failure = [] } = txn;
    const ops = [...success, ...failure];
    const names = new Set([...compare.map(({ key }) => key), ...ops.map((op) => ("key" in op ? op.key : op.prefix))]);
    const request = {
      compare: compare.map(toPbCompare),
      success: success.map(toRequestOp),
      failure: failure.map(toRequestOp),
    };
    const response = await this.#kv<TxnResponse>("Txn", request, {
      operation: `run a transaction on ${[...names].join(", ")}`,
      isRepeatable: ops.every(({ op }) => op === "get" || op === "list"),
    });
    return {
      succeeded: response.succeeded,
      revision: BigInt(response.header.revision),
      responses: response.responses.map(fromResponseOp),
    };
  }

  async grant(ttlSeconds: number): Promise<bigint> {
    // Repeated, it may leave a lease that nobody uses, which runs out.
    const response = await this.#lease<LeaseGrantResponse>(
      "LeaseGrant",
      { TTL: String(ttlSeconds) },
      `grant a lease of ${ttlSeconds} s`,
    );
    return BigInt(response.ID);
  }

  async revoke(lease: bigint): Promise<void> {
    try {
      await this.#lease("LeaseRevoke", { ID: String(lease) }, `revoke lease ${lease.toString(16)}`);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async keepAlive(lease: bigint): Promise<number | undefined> {
    const operation = `keep lease ${lease.toString(16)} alive`;
    const method = services.Lease.LeaseKeepAlive as Method | undefined;
    const { TTL } = await this.#connection.exchange<{ ID: Int64 }, { TTL: Int64 }>(
      method,
      { ID: String(lease) },
      operation,
    );
    return Number(TTL) > 0 ? Number(TTL) : undefined;
  }

  async timeToLive(lease: bigint): Promise<{ ttlSeconds: number; grantedTtlSeconds: number } | undefined> {
    const { TTL, grantedTTL } = await this.#lease<LeaseTimeToLiveResponse>(
      "LeaseTimeToLive",
      { ID: String(lease) },
      `look up lease ${lease.toString(16)}`,
    );
    return Number(TTL) < 0 ? undefined : { ttlSeconds: Number(TTL), grantedTtlSeconds: Number(grantedTTL) };
  }

  watch(prefix: string, signal: AbortSignal): AsyncIterable<WatchMessage> {
    const source = {
      connection: this.#connection,
      list: (of: string, until: AbortSignal) => this.#list(of, until),
      log: this.#log,
    };
    return watchPrefix(source, prefix, AbortSignal.any([signal, this.#closed.signal]));
  }

  state(): StoreState {
    return this.#connection.state();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    this.#connection.close();
  }

  async #list(prefix: string, signal?: AbortSignal): Promise<{ kvs: KeyValue[]; revision: bigint }> {
    const { kvs, header } = await this.#range(prefixRange(prefix), `list ${prefix}`, signal);
    return { kvs: kvs.map(fromPb), revision: BigInt(header.revision) };
  }

  #range(request: Sent<RangeRequest>, operation: string, signal?: AbortSignal): Promise<RangeResponse> {
    return this.#kv("Range", request, { operation, isRepeatable: true, signal });
  }

  async #deleteRange(request: Sent<DeleteRangeRequest>, operation: string): Promise<number> {
    // Repeatable in effect, but not in what it answers.
    const response = await this.#kv<DeleteRangeResponse>("DeleteRange", request, { operation, isRepeatable: false });
    return Number(response.deleted);
  }

  #kv<Response>(method: string, request: object, options: CallOptions): Promise<Response> {
    return this.#connection.call(services.KV[method] as Method | undefined, request, options);
  }

  #lease<Response>(method: string, request: { ID?: Int64; TTL?: Int64 }, operation: string): Promise<Response> {
    const definition = services.Lease[method] as Method | undefined;
    return this.#connection.call(definition, request, { operation, isRepeatable: true });
  }
}
