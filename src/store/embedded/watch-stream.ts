import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { Sent, WatchCreateRequest, WatchRequest, WatchResponse } from "../etcdserverpb/types.ts";
import type { Engine } from "./engine.ts";
import { Watcher } from "./watcher.ts";

type WatchCall = ServerDuplexStream<WatchRequest, Sent<WatchResponse>>;

/** What etcd answers a progress request with: it is about the whole stream, not one watch. */
const WHOLE_STREAM = "-1";

/**
 * One client's stream of watches. Watchers do not queue events: each knows how far it has been told, and reads on in the
 * history when the client can take more. A client that is too slow for the history is told so, by the compaction.
 */
export class WatchStream {
  readonly #engine: Engine;
  readonly #call: WatchCall;
  readonly #watchers = new Map<string, Watcher>();
  #nextId = 0;
  #isBlocked = false;
  #owesProgress = false;

  constructor(engine: Engine, call: WatchCall, progressIntervalMs: number) {
    this.#engine = engine;
    this.#call = call;
    const unsubscribe = engine.subscribe(() => this.#pump());
    const progress = setInterval(() => this.#notifyProgress(), progressIntervalMs);
    const stop = (): void => {
      unsubscribe();
      clearInterval(progress);
      this.#watchers.clear();
    };
    call.on("data", (request: WatchRequest) => this.#handle(request));
    call.on("end", () => {
      stop();
      call.end();
    });
    call.on("drain", () => {
      this.#isBlocked = false;
      this.#pump();
    });
    call.on("cancelled", stop);
    call.on("close", stop);
    call.on("error", stop);
  }

  #handle(request: WatchRequest): void {
    if (request.create_request) this.#create(request.create_request);
    else if (request.cancel_request) this.#cancel(request.cancel_request.watch_id);
    else if (request.progress_request) {
      this.#owesProgress = true;
      this.#pump();
    }
  }

  #create(request: WatchCreateRequest): void {
    const id = request.watch_id === "0" ? this.#freeId() : request.watch_id;
    if (this.#watchers.has(id)) {
      const cancel_reason = "etcdserver: duplicate watch ID is provided on the watch stream";
      this.#send({ watch_id: WHOLE_STREAM, created: true, canceled: true, cancel_reason });
      return;
    }
    const start = Number(request.start_revision);
    const watcher = new Watcher(id, request, start > 0 ? start : this.#engine.durableRevision + 1);
    this.#send({ watch_id: id, created: true });
    this.#watchers.set(id, watcher);
    this.#pump();
  }

  #cancel(id: string): void {
    if (this.#watchers.delete(id)) this.#send({ watch_id: id, canceled: true });
  }

  /** Tells every watcher what it can be told. */
  #pump(): void {
    const { keys, durableRevision } = this.#engine;
    for (const watcher of this.#watchers.values()) {
      while (!this.#isBlocked && this.#watchers.has(watcher.id)) {
        if (watcher.next < keys.compacted) {
          this.#watchers.delete(watcher.id);
          const cancel_reason = "etcdserver: mvcc: required revision has been compacted";
          const compact_revision = String(keys.compacted);
          this.#send({ watch_id: watcher.id, canceled: true, compact_revision, cancel_reason });
          break;
        }
        const delivery = watcher.take(keys, durableRevision);
        if (!delivery) break;
        this.#send({ watch_id: watcher.id, events: delivery.events }, delivery.revision);
      }
    }
    if (this.#owesProgress && !this.#isBlocked) {
      this.#owesProgress = false;
      this.#send({ watch_id: WHOLE_STREAM });
    }
  }

  #notifyProgress(): void {
    if (this.#isBlocked) return;
    for (const watcher of this.#watchers.values()) if (watcher.wantsProgress) this.#send({ watch_id: watcher.id });
  }

  #send(response: Sent<WatchResponse>, revision: number = this.#engine.durableRevision): void {
    if (!this.#call.write({ header: this.#engine.header(revision), ...response })) this.#isBlocked = true;
  }

  #freeId(): string {
    while (this.#watchers.has(String(this.#nextId))) this.#nextId++;
    return String(this.#nextId++);
  }
}
