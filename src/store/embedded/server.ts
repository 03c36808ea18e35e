import type { Log } from "../log.ts";

export interface EmbeddedServerOptions {
  /** Made when it is not there. One server at a time may use it. */
  readonly dataDir: string;
  /** `127.0.0.1:2379`, `[::1]:0`, `unix:/run/podpath/store.sock`. Port 0: a free one. */
  readonly listen: readonly string[];
  readonly log?: Log | undefined;
}

export interface EmbeddedServer extends AsyncDisposable {
  /** The endpoints to give to clients, in the order of `listen`: `http://127.0.0.1:34567`, `unix:///run/…`. */
  readonly addresses: readonly string[];
  close(): Promise<void>;
}

/** Serves the etcd v3 API from this process; a restart on the same `dataDir` loses nothing. @throws {EtcdError} */
export async function startEmbeddedServer(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  throw new Error(`not yet: ${options.dataDir}`);
}
