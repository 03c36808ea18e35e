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

/** There is a lab of that name already. */
export class LabNameTaken extends LabError {
  override name = "LabNameTaken";

  constructor(labName: string) {
    super(`start a lab called ${JSON.stringify(labName)}`, {
      reason: "there is one already",
      advice: "podpath lab ps shows it, podpath lab down ends it, --name NAME makes another",
    });
  }
}

/** The lab said no, in its own words. */
export class LabRefusal extends Error {
  override name = "LabRefusal";
}

/** What to tell people of anything thrown: its message, in one line. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, " ");
}

/** `ECONNREFUSED`, when it is the kernel's refusal. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
