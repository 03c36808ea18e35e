/** The node cannot start or go on: what was attempted, on what, why, and what to do. One line, for the operator. */
export class AgentError extends Error {
  override name = "AgentError";
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
