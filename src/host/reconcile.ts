import type { Rtnl } from "../kernel/index.ts";
import type { Conflict, Step } from "./plan.ts";
import type { ActualState, WantedState } from "./state.ts";

/** A step that the kernel refused, wholly or partly; everything else was carried out. */
export interface StepFailure {
  readonly of: string;
  readonly error: unknown;
}

export interface ReconcileReport {
  /** How many changes the kernel took. */
  readonly applied: number;
  readonly failures: readonly StepFailure[];
  readonly conflicts: readonly Conflict[];
}

export interface ReconcileOptions {
  /** Leaves out a step, e.g. of a peer whose last failure is too recent. */
  readonly skip?: (step: Step) => boolean;
}

/** Lists what the namespace has. */
export function listHost(rtnl: Rtnl): ActualState {
  throw new Error(`not yet: ${rtnl}`);
}

/**
 * Makes the namespace what `wanted` says. Sends the changes of at most 64 steps at a time and lets the event loop run
 * in between. A refused change fails its own step only.
 */
export async function reconcile(
  rtnl: Rtnl,
  wanted: WantedState,
  options: ReconcileOptions = {},
): Promise<ReconcileReport> {
  throw new Error(`not yet: ${rtnl} ${wanted} ${options}`);
}
