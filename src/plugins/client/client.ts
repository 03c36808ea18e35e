export type ClientArch = "x86-64" | "aarch64";

export interface ClientOptions {
  readonly arch: ClientArch;
  /** The agent's Unix socket. */
  readonly socketPath: string;
  /** What to execve() when nobody listens there: the one-file Node plugin. */
  readonly fallbackPath: string;
}

/** The static ELF executable that hands a CNI call to the agent. */
export function clientElf(options: ClientOptions): Uint8Array {
  throw new Error(`Cannot make a client for ${options.arch}: not written yet`);
}
