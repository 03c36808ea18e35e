import { setImmediate as nextTurn } from "node:timers/promises";
import { isNotFound, NetlinkError, type Rtnl } from "../kernel/index.ts";
import type { Change, Conflict, Step } from "./change.ts";
import { isRemoval, toRequest } from "./request.ts";

/**
 * How many steps go into one batch. The answers of a batch must fit the socket's receive buffer (208 KB without
 * privileges, some 250 messages), and the event loop must have its turn.
 */
const CHUNK = 64;

/** A step that the kernel refused in part or whole; everything else was carried out. */
export interface StepFailure {
  readonly of: string;
  readonly error: unknown;
}

export interface ReconcileReport {
  /** The changes the kernel took. */
  readonly applied: readonly Change[];
  readonly failures: readonly StepFailure[];
  readonly conflicts: readonly Conflict[];
}

export interface ReconcileOptions {
  /** Leaves a step out, such as one whose last failure is too recent. */
  readonly skip?: (step: Step) => boolean;
}

/** Carries the steps out, some at a time. @param note is told of each change that is in effect then */
export async function carryOut(
  rtnl: Pick<Rtnl, "execute">,
  steps: readonly Step[],
  { skip }: ReconcileOptions = {},
  note: (change: Change) => void = () => {},
): Promise<Omit<ReconcileReport, "conflicts">> {
  const todo = skip ? steps.filter((step) => !skip(step)) : steps;
  const applied: Change[] = [];
  const failures: StepFailure[] = [];
  for (let i = 0; i < todo.length; i += CHUNK) {
    if (i > 0) await nextTurn();
    const result = carryOutAtOnce(rtnl, todo.slice(i, i + CHUNK), note);
    applied.push(...result.applied);
    failures.push(...result.failures);
  }
  return { applied, failures };
}

function carryOutAtOnce(
  rtnl: Pick<Rtnl, "execute">,
  steps: readonly Step[],
  note: (change: Change) => void,
): Omit<ReconcileReport, "conflicts"> {
  const items = steps.flatMap((step) => step.changes.map((change) => ({ step, change })));
  const errors = refusals(
    rtnl,
    items.map((item) => item.change),
  );
  const applied: Change[] = [];
  const failed = new Map<Step, unknown>();
  items.forEach(({ step, change }, i) => {
    const error = errors.get(i);
    const isGone = error !== undefined && isRemoval(change) && isNotFound(error);
    if (error === undefined) applied.push(change);
    if (error === undefined || isGone) note(change);
    else if (!failed.has(step)) failed.set(step, error);
  });
  return { applied, failures: [...failed].map(([step, error]) => ({ of: step.of, error })) };
}

/** Sends the changes in one batch and tells which were refused, by their position. */
function refusals(rtnl: Pick<Rtnl, "execute">, changes: readonly Change[]): Map<number, unknown> {
  try {
    rtnl.execute(changes.map(toRequest));
    return new Map();
  } catch (error) {
    if (error instanceof NetlinkError) return new Map([error, ...error.others].map((one) => [one.requestIndex, one]));
    // The connection itself failed: nothing is known of any of them.
    return new Map(changes.map((_, i) => [i, error]));
  }
}
