/** The lab cannot do what was asked: what, why, and what to do. Printed as one line. */
export class LabError extends Error {
  override name = "LabError";

  constructor(what: string, details: { reason: string; advice?: string | undefined; cause?: unknown }) {
    super(
      `Cannot ${what}: ${details.reason}${details.advice ? ` (${details.advice})` : ""}`,
      details.cause === undefined ? undefined : { cause: details.cause },
    );
  }
}

/** What to tell people of anything thrown: its message, in one line. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, " ");
}

/** The reason first, when it is the kernel's or a program's. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
