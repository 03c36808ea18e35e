// A watch that goes on for ever:
//
//   list at revision R -> snapshot -> stream from R+1 -> events -> (stream lost) -> stream from the last event + 1 -> …
//                  ^                                                     |
//                  +------------- compacted, or the store went back -----+

import { setTimeout as sleep } from "node:timers/promises";
import { Metadata, type MethodDefinition, type ServiceError, status } from "@grpc/grpc-js";
import { services } from "../etcdserverpb/services.ts";
import { EVENT_TYPE, type Sent, type WatchCreateRequest, type WatchResponse } from "../etcdserverpb/types.ts";
import type { Log } from "../log.ts";
import type { KeyValue, WatchMessage } from "../store.ts";
import type { Connection } from "./connection.ts";
import { fromPb, prefixRange } from "./keys.ts";

const FIRST_DELAY_MS = 100;
const LAST_DELAY_MS = 5000;
const CREATE_TIMEOUT_MS = 5000;

export interface WatchSource {
  readonly connection: Connection;
  readonly list: (prefix: string, signal: AbortSignal) => Promise<{ kvs: KeyValue[]; revision: bigint }>;
  readonly log: Log | undefined;
}

type WatchRequest = { readonly create_request: Sent<WatchCreateRequest> };

/** The history we stand on is gone: only a new snapshot helps. */
class HistoryGone extends Error {}

export async function* watchPrefix(
  source: WatchSource,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<WatchMessage, void, void> {
  let delayMs = FIRST_DELAY_MS;
  let next: bigint | undefined;
  let isTold = false;
  let isResumed = false;
  while (!signal.aborted) {
    try {
      if (next === undefined) {
        const { kvs, revision } = await source.list(prefix, signal);
        next = revision + 1n;
        delayMs = FIRST_DELAY_MS;
        isTold = false;
        isResumed = false;
        yield { type: "snapshot", revision, kvs };
      }
      const onCreated = (): void => {
        if (isResumed) source.connection.count("watchResumes");
        isResumed = true;
      };
      for await (const response of openWatch(source.connection, prefix, next, signal, onCreated)) {
        source.connection.heard();
        delayMs = FIRST_DELAY_MS;
        const last = response.events.at(-1);
        // While events are caught up with, the header is ahead of them; without events it says how far all is told.
        next = BigInt(last?.kv.mod_revision ?? response.header.revision) + 1n;
        if (last) yield { type: "events", revision: next - 1n, events: response.events.map(toEvent) };
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof HistoryGone) {
        source.log?.info({ prefix, reason: error.message }, "store: watch begins anew with a snapshot");
        source.connection.count("watchRestarts");
        next = undefined;
        continue;
      }
      // Once for each outage; the reason stands in the store's state, and every failure in the debug log.
      if (next === undefined && !isTold) source.log?.warn({ prefix, err: error }, "store: cannot begin a watch yet");
      else source.log?.debug({ prefix, err: error, delayMs }, "store: watch lost; will resume");
      isTold = true;
      await sleep(delayMs, undefined, { signal }).catch(() => {});
      delayMs = Math.min(2 * delayMs, LAST_DELAY_MS);
    }
  }
}

/** One stream with one watch, until it fails. */
async function* openWatch(
  connection: Connection,
  prefix: string,
  next: bigint,
  signal: AbortSignal,
  onCreated: () => void,
): AsyncGenerator<WatchResponse, void, void> {
  const operation = `watch ${prefix} from revision ${next}`;
  const method = services.Watch.Watch as unknown as MethodDefinition<never, unknown>;
  const { call, endpoint } = await connection.stream<WatchRequest, WatchResponse>(method, operation);
  const abort = (): void => call.cancel();
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  let isCreated = false;
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    call.cancel();
  }, CREATE_TIMEOUT_MS);
  try {
    const range = prefixRange(prefix);
    call.write({ create_request: { ...range, start_revision: String(next), progress_notify: true } });
    for await (const response of call as AsyncIterable<WatchResponse>) {
      if (response.compact_revision !== "0") throw new HistoryGone(`compacted up to ${response.compact_revision}`);
      if (response.canceled) throw failure(status.UNAVAILABLE, response.cancel_reason || "the watch was cancelled");
      if (response.created) {
        isCreated = true;
        clearTimeout(timer);
        connection.succeeded(endpoint);
        // A store that has not come as far as we have lost its data, or is another one.
        if (BigInt(response.header.revision) + 1n < next)
          throw new HistoryGone(`the store is at revision ${response.header.revision}, we were at ${next - 1n}`);
        onCreated();
      } else if (isCreated) yield response;
    }
    throw failure(status.UNAVAILABLE, "the store ended the watch");
  } catch (error) {
    if (error instanceof HistoryGone || signal.aborted) throw error;
    const late = failure(status.DEADLINE_EXCEEDED, `no answer within ${CREATE_TIMEOUT_MS / 1000} s`);
    throw connection.failed(endpoint, operation, isLate ? late : (error as ServiceError));
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
    call.cancel();
  }
}

function toEvent(event: WatchResponse["events"][number]): { type: "put" | "delete"; kv: KeyValue } {
  return { type: event.type === EVENT_TYPE.DELETE ? "delete" : "put", kv: fromPb(event.kv) };
}

function failure(code: status, details: string): ServiceError {
  return Object.assign(new Error(details), { code, details, metadata: new Metadata() });
}
