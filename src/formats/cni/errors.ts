/** The specification's error codes; 100 and above belong to the plugin, 999 is the reference library's "internal". */
export const CNI_ERROR = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  io: 5,
  decoding: 6,
  invalidNetworkConfig: 7,
  invalidNetns: 8,
  tryAgainLater: 11,
  pluginNotAvailable: 50,
  pluginNotAvailableLimitedConnectivity: 51,
  internal: 999,
} as const;

/** A failed CNI call, as the runtime will read it. */
export class CniError extends Error {
  override name = "CniError";
  readonly code: number;
  readonly details: string;

  constructor(code: number, message: string, options: { details?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? "";
  }
}

/** Anything thrown becomes a CniError; what was not one is 999, its text kept and nothing of its stack shown. */
export function toCniError(thrown: unknown): CniError {
  if (thrown instanceof CniError) return thrown;
  return new CniError(CNI_ERROR.internal, thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
}

/** The error document of specification §4: goes to stdout, with a non-zero exit. */
export function formatError(error: CniError, cniVersion?: string): string {
  return JSON.stringify({
    ...(cniVersion === undefined ? {} : { cniVersion }),
    code: error.code,
    msg: error.message,
    ...(error.details === "" ? {} : { details: error.details }),
  });
}

/** Reads an error document of an executed delegate; undefined when the text is none. */
export function parseError(text: string): CniError | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || !("msg" in value) || typeof value.msg !== "string")
    return undefined;
  const code = "code" in value && typeof value.code === "number" ? value.code : CNI_ERROR.internal;
  const details = "details" in value && typeof value.details === "string" ? value.details : "";
  return new CniError(code, value.msg, { details });
}
