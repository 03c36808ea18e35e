import type { handleUnaryCall, ServerDuplexStream, ServiceError, UntypedServiceImplementation } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import type {
  DeleteRangeRequest,
  Int64,
  PutRequest,
  RangeRequest,
  Sent,
  TxnRequest,
  WatchRequest,
  WatchResponse,
} from "../etcdserverpb/types.ts";
import type { Engine } from "./engine.ts";
import { EtcdStatus, etcdErrors } from "./etcd-status.ts";
import { evaluateRange } from "./range.ts";
import { evaluateDeleteRange, evaluatePut, evaluateTxn } from "./requests.ts";
import { WatchStream } from "./watch-stream.ts";

/** The etcd release whose API this is; clients print it, and compare it before they use newer calls. */
const VERSION = "3.5.0+podpath";
const NAME = "podpath";
const NO_LEASE = "-1";

export interface ServiceOptions {
  readonly engine: Engine;
  /** The endpoints, known once the server listens. */
  readonly clientUrls: () => string[];
  readonly dbBytes: () => Promise<number>;
  readonly progressIntervalMs: number;
  readonly onError: (error: unknown, method: string) => void;
}

/** Service name → method → handler. */
export function implement(options: ServiceOptions): Readonly<Record<string, UntypedServiceImplementation>> {
  const { engine } = options;
  const unary = <Request, Response>(
    method: string,
    answer: (request: Request) => Promise<Response>,
  ): handleUnaryCall<Request, Response> => {
    return (call, callback) => {
      answer(call.request).then(
        (response) => callback(null, response),
        (error: unknown) => callback(toServiceError(error, method, options)),
      );
    };
  };
  return {
    KV: {
      Range: unary("Range", (request: RangeRequest) =>
        engine.execute((at) => ({ ...evaluateRange(at.transaction, request), header: engine.header() })),
      ),
      Put: unary("Put", (request: PutRequest) => engine.execute((at) => evaluatePut(at, request))),
      DeleteRange: unary("DeleteRange", (request: DeleteRangeRequest) =>
        engine.execute((at) => evaluateDeleteRange(at, request)),
      ),
      Txn: unary("Txn", (request: TxnRequest) => engine.execute((at) => evaluateTxn(at, request))),
      Compact: unary("Compact", async ({ revision }: { revision: Int64 }) => {
        await engine.compact(Number(revision));
        return { header: engine.header() };
      }),
    },
    Watch: {
      Watch: (call: ServerDuplexStream<WatchRequest, Sent<WatchResponse>>) => {
        new WatchStream(engine, call, options.progressIntervalMs);
      },
    },
    Lease: leaseService(options, unary),
    Cluster: {
      MemberList: unary("MemberList", async () => ({
        header: engine.header(),
        members: [{ ID: engine.memberId, name: NAME, peerURLs: [], clientURLs: options.clientUrls() }],
      })),
    },
    Maintenance: {
      Status: unary("Status", async () => {
        const dbSize = String(await options.dbBytes());
        const raftIndex = String(engine.keys.revision);
        const header = engine.header();
        return {
          header,
          version: VERSION,
          dbSize,
          dbSizeInUse: dbSize,
          leader: engine.memberId,
          raftIndex,
          raftAppliedIndex: raftIndex,
          raftTerm: header.raft_term,
        };
      }),
      Alarm: unary("Alarm", async () => ({ header: engine.header(), alarms: [] })),
      // There is nothing to defragment: snapshots are written anew each time.
      Defragment: unary("Defragment", async () => ({ header: engine.header() })),
      HashKV: unary("HashKV", async ({ revision }: { revision: Int64 }) => ({
        header: engine.header(),
        hash: engine.keys.hash(Number(revision)),
        compact_revision: String(engine.keys.compacted),
      })),
    },
    Auth: {
      Authenticate: unary("Authenticate", async () => {
        throw etcdErrors.AuthNotEnabled();
      }),
      AuthStatus: unary("AuthStatus", async () => ({ header: engine.header(), enabled: false, authRevision: "1" })),
    },
  };
}

type Unary = <Request, Response>(
  method: string,
  answer: (request: Request) => Promise<Response>,
) => handleUnaryCall<Request, Response>;

function leaseService({ engine }: ServiceOptions, unary: Unary): UntypedServiceImplementation {
  return {
    LeaseGrant: unary("LeaseGrant", async ({ ID, TTL }: { ID: Int64; TTL: Int64 }) => {
      const lease = await engine.grant(ID, Number(TTL));
      return { header: engine.header(), ID: lease.id, TTL: String(lease.ttlSeconds) };
    }),
    LeaseRevoke: unary("LeaseRevoke", async ({ ID }: { ID: Int64 }) => {
      await engine.revoke(ID);
      return { header: engine.header() };
    }),
    LeaseTimeToLive: unary("LeaseTimeToLive", ({ ID, keys }: { ID: Int64; keys: boolean }) =>
      engine.execute(() => {
        const lease = engine.leases.get(ID);
        return {
          header: engine.header(),
          ID,
          TTL: lease ? String(lease.remainingSeconds) : NO_LEASE,
          grantedTTL: String(lease?.ttlSeconds ?? 0),
          keys: keys && lease ? lease.keys.map((key) => Buffer.from(key, "latin1")) : [],
        };
      }),
    ),
    LeaseLeases: unary("LeaseLeases", () =>
      engine.execute(() => ({ header: engine.header(), leases: engine.leases.ids().map((ID) => ({ ID })) })),
    ),
    LeaseKeepAlive: (call: ServerDuplexStream<{ ID: Int64 }, object>) => {
      // In order, and all of them before our end: a client may close its side as soon as it has asked.
      let answered = Promise.resolve();
      call.on("data", ({ ID }: { ID: Int64 }) => {
        answered = answered
          .then(() => engine.renew(ID))
          .then(
            (lease) => void call.write({ header: engine.header(), ID, TTL: String(lease?.ttlSeconds ?? 0) }),
            (error: unknown) => void call.destroy(error as Error),
          );
      });
      call.on("end", () => void answered.then(() => call.end()));
      call.on("error", () => {
        // The client is gone; so is the stream.
      });
    },
  };
}

function toServiceError(error: unknown, method: string, options: ServiceOptions): Partial<ServiceError> {
  if (error instanceof EtcdStatus) return { code: error.code, details: error.details };
  options.onError(error, method);
  return { code: status.INTERNAL, details: `etcdserver: ${error instanceof Error ? error.message : String(error)}` };
}
