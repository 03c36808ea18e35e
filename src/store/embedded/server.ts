import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { lockFile, makeDirectories } from "../../kernel/index.ts";
import { EtcdError } from "../errors.ts";
import { services } from "../etcdserverpb/services.ts";
import type { Log } from "../log.ts";
import { Engine } from "./engine.ts";
import { type Listener, listen } from "./listener.ts";
import { implement } from "./services.ts";

export interface EmbeddedServerOptions {
  /** Made when it is not there. One server at a time may use it. */
  readonly dataDir: string;
  /** `127.0.0.1:2379`, `[::1]:0`, `unix:/run/podpath/store.sock`. Port 0: a free one. */
  readonly listen: readonly string[];
  readonly log?: Log | undefined;
  /** How many changes watches can look back to. Default 10 000. */
  readonly historyChanges?: number;
  /** A snapshot is written when this much has been logged since the last. Default 4 MiB. */
  readonly maxWalBytes?: number;
  /** How often quiet watches that want to know hear how far the store is. Default ten minutes, as etcd. */
  readonly progressIntervalMs?: number;
}

export interface EmbeddedServer extends AsyncDisposable {
  /** The endpoints to give to clients, in the order of `listen`: `http://127.0.0.1:34567`, `unix:///run/…`. */
  readonly addresses: readonly string[];
  close(): Promise<void>;
}

/** Held by the server that uses the directory; a file, so that every PID and network namespace sees it. */
const LOCK = "server.lock";

const SERVER_OPTIONS = {
  // etcd's limit for a request is 1.5 MiB and its transport's half a MiB more.
  "grpc.max_receive_message_length": 2 * 1024 * 1024,
  "grpc.max_send_message_length": -1,
  // Notices clients that vanished without a word, whose watches would stay for ever. Clients' own pings, however
  // frequent, are answered: nothing here counts them.
  "grpc.keepalive_time_ms": 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
};

/** Serves the etcd v3 API from this process; a restart on the same `dataDir` loses nothing. @throws {EtcdError} */
export async function startEmbeddedServer(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  const { dataDir, log } = options;
  // Undone in reverse when a later step fails, and by close().
  const undo: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (let step = undo.pop(); step; step = undo.pop()) await step();
  };
  try {
    if (options.listen.length === 0) throw new Error("no address to listen on was given");
    makeDirectories(dataDir, 0o700);
    const lock = await lockFile(join(dataDir, LOCK), { timeoutMs: 0, holder: "another store server" });
    undo.push(async () => lock[Symbol.dispose]());
    const engine = await Engine.open({
      dataDir,
      historyChanges: options.historyChanges ?? 10_000,
      maxWalBytes: options.maxWalBytes ?? 4 * 1024 * 1024,
      log,
    });
    undo.push(() => engine.close());
    const server = new Server(SERVER_OPTIONS);
    const addresses: string[] = [];
    const implementations = implement({
      engine,
      clientUrls: () => addresses,
      dbBytes: () => bytesIn(dataDir),
      progressIntervalMs: options.progressIntervalMs ?? 600_000,
      onError: (error, method) => log?.error({ err: error, method }, "store: a request failed by a defect of ours"),
    });
    for (const [name, definition] of Object.entries(services)) {
      const implementation = implementations[name];
      if (implementation) server.addService(definition, implementation);
    }
    const listeners: Listener[] = [];
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    undo.push(async () => {
      const closed = Promise.all(listeners.map((listener) => listener.close()));
      server.forceShutdown();
      await closed;
    });
    for (const address of options.listen) {
      const listener = await listen(address, injector);
      listeners.push(listener);
      addresses.push(listener.endpoint);
    }
    log?.info({ addresses, dataDir, revision: engine.keys.revision }, "store: serving");
    return { addresses, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw new EtcdError(`start the store in ${dataDir}`, {
      code: "FAILED_PRECONDITION",
      reason: error instanceof Error ? error.message : String(error),
      cause: error,
    });
  }
}

async function bytesIn(directory: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(directory)) {
    // A snapshot may be removed while we look.
    bytes += (await stat(join(directory, name)).catch(() => ({ size: 0 }))).size;
  }
  return bytes;
}
