/** A backend cannot carry packets here: what was attempted, on what, why, and what to do. */
export class BackendError extends Error {
  override name = "BackendError";
}
