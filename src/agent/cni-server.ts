export interface CniServerOptions {
  /** Unix socket of the CNI server; created 0600 in a folder only root may enter. */
  readonly socketPath: string;
  readonly log?: (
    level: "debug" | "info" | "warn" | "error",
    message: string,
    fields?: Record<string, unknown>,
  ) => void;
}

/** Serves CNI calls of the tiny client, one at a time, until disposed. Takes over a dead agent's socket file. */
export async function startCniServer(options: CniServerOptions): Promise<AsyncDisposable> {
  throw new Error(`Cannot listen on ${options.socketPath}: not written yet`);
}
