/** A store call that failed: which operation, on which key, at which endpoint, why, and what to do about it. */
export class EtcdError extends Error {
  override name = "EtcdError";
  /** The gRPC status code's name: `UNAVAILABLE`, `NOT_FOUND`, `PERMISSION_DENIED`, … */
  readonly code: string;
  readonly operation: string;
  readonly endpoint: string | undefined;

  constructor(
    operation: string,
    details: {
      readonly code: string;
      readonly reason: string;
      readonly endpoint?: string | undefined;
      readonly advice?: string | undefined;
      readonly cause?: unknown;
    },
  ) {
    const at = details.endpoint ? ` at ${details.endpoint}` : "";
    const advice = details.advice ? ` (${details.advice})` : "";
    super(`Cannot ${operation}${at}: ${details.reason}${advice}`, { cause: details.cause });
    this.code = details.code;
    this.operation = operation;
    this.endpoint = details.endpoint;
  }
}

/** Nobody answered, or not in time: asking again later may help. */
export function isUnavailable(error: unknown): error is EtcdError {
  return error instanceof EtcdError && (error.code === "UNAVAILABLE" || error.code === "DEADLINE_EXCEEDED");
}

/** Wrong user or password, no permission, or a certificate that was refused: asking again does not help. */
export function isUnauthenticated(error: unknown): error is EtcdError {
  return error instanceof EtcdError && (error.code === "UNAUTHENTICATED" || error.code === "PERMISSION_DENIED");
}

/** The lease (or user, or member) is not there. */
export function isNotFound(error: unknown): error is EtcdError {
  return error instanceof EtcdError && error.code === "NOT_FOUND";
}

/** The revision asked for has been compacted, or has not happened yet. */
export function isOutOfRange(error: unknown): error is EtcdError {
  return error instanceof EtcdError && error.code === "OUT_OF_RANGE";
}
