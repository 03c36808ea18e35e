import { setImmediate as nextTurn } from "node:timers/promises";
import { type Nexthop, type Route, RT_TABLE_MAIN } from "../formats/netlink/index.ts";
import { isNotFound, isUnsupported, NetlinkError, type Rtnl } from "../kernel/index.ts";
import type { Change, Conflict, Step } from "./change.ts";
import { type PlanOptions, plan } from "./plan.ts";
import { isRemoval, toRequest } from "./request.ts";
import type { ActualState, WantedState } from "./state.ts";

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
  /** What the namespace has, when the caller has just listed it. */
  readonly actual?: ActualState;
  /** Leaves a step out, such as one whose last failure is too recent. */
  readonly skip?: (step: Step) => boolean;
  readonly planning?: PlanOptions;
}

/** The part of Rtnl that is needed here. */
export type HostRtnl = Pick<Rtnl, "links" | "addresses" | "routes" | "neighbours" | "fdb" | "nexthops" | "execute">;

/** Lists what the namespace has. */
export function listHost(rtnl: HostRtnl): ActualState {
  const nexthops = listNexthops(rtnl);
  return {
    links: rtnl.links(),
    addresses: rtnl.addresses(),
    routes: withWays(rtnl.routes({ table: RT_TABLE_MAIN }), nexthops),
    neighbours: rtnl.neighbours(),
    fdb: rtnl.fdb(),
    nexthops,
  };
}

function listNexthops(rtnl: HostRtnl): readonly Nexthop[] | undefined {
  try {
    return rtnl.nexthops();
  } catch (error) {
    if (isUnsupported(error)) return undefined;
    throw error;
  }
}

/** With net.ipv4.nexthop_compat_mode 0 a route tells its nexthop object's id alone. */
function withWays(routes: readonly Route[], nexthops: readonly Nexthop[] = []): readonly Route[] {
  if (!routes.some(({ nexthopId, oif }) => nexthopId !== undefined && oif === undefined)) return routes;
  const byId = new Map(nexthops.map((nexthop) => [nexthop.id, nexthop]));
  return routes.map((route) => {
    const nexthop = route.oif === undefined ? byId.get(route.nexthopId ?? 0) : undefined;
    if (!nexthop) return route;
    const { gateway, oif, onlink } = nexthop;
    return { ...route, ...(gateway && { gateway }), ...(oif !== undefined && { oif }), onlink };
  });
}

/** Makes the namespace what `wanted` says. A change that the kernel refuses fails its own step and no other. */
export async function reconcile(
  rtnl: HostRtnl,
  wanted: WantedState,
  options: ReconcileOptions = {},
): Promise<ReconcileReport> {
  const { steps, conflicts } = plan(options.actual ?? listHost(rtnl), wanted, options.planning);
  const todo = options.skip ? steps.filter((step) => !options.skip?.(step)) : steps;
  const applied: Change[] = [];
  const failures: StepFailure[] = [];
  for (let i = 0; i < todo.length; i += CHUNK) {
    if (i > 0) await nextTurn();
    const chunk = todo.slice(i, i + CHUNK);
    const result = carryOut(rtnl, chunk);
    applied.push(...result.applied);
    failures.push(...result.failures);
  }
  return { applied, failures, conflicts };
}

function carryOut(rtnl: HostRtnl, steps: readonly Step[]): Pick<ReconcileReport, "applied" | "failures"> {
  const items = steps.flatMap((step) => step.changes.map((change) => ({ step, change })));
  const errors = refusals(
    rtnl,
    items.map((item) => item.change),
  );
  const applied: Change[] = [];
  const failed = new Map<Step, unknown>();
  items.forEach(({ step, change }, i) => {
    const error = errors.get(i);
    if (error === undefined) applied.push(change);
    else if (!(isRemoval(change) && isNotFound(error)) && !failed.has(step)) failed.set(step, error);
  });
  return { applied, failures: [...failed].map(([step, error]) => ({ of: step.of, error })) };
}

/** Sends the changes in one batch and tells which were refused, by their position. */
function refusals(rtnl: HostRtnl, changes: readonly Change[]): Map<number, unknown> {
  try {
    rtnl.execute(changes.map(toRequest));
    return new Map();
  } catch (error) {
    if (error instanceof NetlinkError) return new Map([error, ...error.others].map((one) => [one.requestIndex, one]));
    // The connection itself failed: nothing is known of any of them.
    return new Map(changes.map((_, i) => [i, error]));
  }
}
