import { CNI_ERROR, CniError, formatError } from "../../formats/cni/index.ts";
import { Aarch64 } from "./aarch64.ts";
import { type ClientArch, elf } from "./elf.ts";
import { assembleClient } from "./program.ts";
import { X8664 } from "./x86-64.ts";

export type { ClientArch } from "./elf.ts";

export interface ClientOptions {
  readonly arch: ClientArch;
  /** The agent's Unix socket. */
  readonly socketPath: string;
  /** The one-file Node plugin to execve() when nobody listens there. */
  readonly fallbackPath: string;
  /** The `node` that runs it: no `#!` line, which would lose argv[0]. Default: the one running now. */
  readonly nodePath?: string;
  /** How long to wait for the agent's answer. */
  readonly timeoutSeconds?: number;
}

const ASSEMBLER = { "x86-64": X8664, aarch64: Aarch64 } as const;

/** The static executable, some 1.5 KB, that hands a CNI call to the agent; see program.ts for what it does. */
export function clientElf(options: ClientOptions): Uint8Array<ArrayBuffer> {
  const { socketPath, fallbackPath, nodePath = process.execPath, timeoutSeconds = 60 } = options;
  const again = (message: string): string => formatError(new CniError(CNI_ERROR.tryAgainLater, message));
  const code = assembleClient(new ASSEMBLER[options.arch](), {
    socketPath,
    nodePath,
    fallbackPath,
    timeoutSeconds,
    unreachable: again(
      `Cannot reach the podpath agent at ${socketPath}, and cannot execute ${nodePath} ${fallbackPath}: ` +
        "start the agent, or run podpath install-cni again",
    ),
    noReply: again(
      `The podpath agent at ${socketPath} took the call but did not answer (it ended, or ${timeoutSeconds} s passed): see its log`,
    ),
  });
  return elf(options.arch, code);
}
