import type { ExtendedAck } from "../formats/netlink/index.ts";

/** A system call that failed: which, on what, and what the kernel said. */
export class SyscallError extends Error {
  override name = "SyscallError";
  readonly syscall: string;
  readonly errno: number;
  /** The errno's name, as in Node's own errors: `EPERM`. */
  readonly code: string;

  constructor(syscall: string, errno: number, code: string, reason: string, on?: string) {
    super(`Cannot ${syscall}${on ? ` ${on}` : ""}: ${reason} (${code})`);
    this.syscall = syscall;
    this.errno = errno;
    this.code = code;
  }
}

interface NetlinkErrorDetails {
  readonly errno: number;
  readonly code: string;
  readonly reason: string;
  readonly extendedAck?: ExtendedAck | undefined;
  readonly requestIndex?: number;
  readonly others?: readonly NetlinkError[];
}

/** The kernel refused a netlink request. */
export class NetlinkError extends Error {
  override name = "NetlinkError";
  /** What was attempted, on what: `add route 10.244.2.0/24 dev flannel.1`. */
  readonly operation: string;
  readonly errno: number;
  /** The errno's name: `EEXIST`. */
  readonly code: string;
  /** The kernel's own words (NETLINK_EXT_ACK), if it has any. */
  readonly extendedAck: ExtendedAck | undefined;
  /** Which request of execute()'s list it was, counted from 0. */
  readonly requestIndex: number;
  readonly #details: NetlinkErrorDetails;

  constructor(operation: string, details: NetlinkErrorDetails) {
    const { reason, code, extendedAck, others = [] } = details;
    const said = extendedAck?.message ? `: ${extendedAck.message}` : "";
    const more = others.length > 0 ? `; ${others.length} more of the same batch failed` : "";
    super(`Cannot ${operation}: ${reason} (${code})${said}${more}`);
    this.operation = operation;
    this.errno = details.errno;
    this.code = code;
    this.extendedAck = extendedAck;
    this.requestIndex = details.requestIndex ?? 0;
    this.#details = details;
  }

  /**
   * The other requests of the same call that failed. Those that are named nowhere were carried out. A getter, which
   * loggers do not descend into: there may be ten thousand.
   */
  get others(): readonly NetlinkError[] {
    return this.#details.others ?? [];
  }

  /** The same error, told with those that happened beside it, or at another place of the caller's list. */
  with(change: { readonly others?: readonly NetlinkError[]; readonly requestIndex?: number }): NetlinkError {
    return new NetlinkError(this.operation, { ...this.#details, ...change });
  }
}

function hasCode(error: unknown, codes: readonly string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}

/** What was to be changed, or what it refers to, is not there: the link, route, neighbour, address or file. */
export function isNotFound(error: unknown): boolean {
  return hasCode(error, ["ENOENT", "ENODEV", "ESRCH", "EADDRNOTAVAIL", "ENXIO"]);
}

export function isAlreadyExists(error: unknown): boolean {
  return hasCode(error, ["EEXIST"]);
}

export function isPermission(error: unknown): boolean {
  return hasCode(error, ["EPERM", "EACCES"]);
}

/** The running kernel cannot do it: no such device kind, family, option or system call. */
export function isUnsupported(error: unknown): boolean {
  return hasCode(error, ["EOPNOTSUPP", "EAFNOSUPPORT", "EPROTONOSUPPORT", "ENOSYS", "ENOPROTOOPT"]);
}
