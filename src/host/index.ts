/**
 * The wanted state of one network namespace: list what the kernel has, work out the difference, send it.
 *
 * Level-triggered: always the whole wanted state, however often. Ours are routes and nexthop objects by protocol number,
 * and neighbours and FDB entries by device; nothing else is touched. Knows no lease and no backend: it is told devices
 * and peers.
 */
export type { ReconcileReport, StepFailure } from "./carry-out.ts";
export * from "./change.ts";
export { type PlanOptions, plan } from "./plan.ts";
export * from "./reconcile.ts";
export * from "./reconciler.ts";
export { deleteExactly } from "./request.ts";
export * from "./state.ts";
