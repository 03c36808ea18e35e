/**
 * Observes a probe at every device it passes, orders the sightings into hops, and compares them with a walk.
 *
 * The lab calls, per probe:
 *   const { hops, evidence, unavailable, error } = await observer.observe({ match, run });
 *   const differences = compare(hops, walk, cast);       // [] = every hop and every change is as the walk says
 *   hopTable(hops) / hops.map(hopToJson) / toPcapng([{ title, hops }])
 * with one `Observer.open(namespaces)` for all of them, or `observe({ namespaces, match, run })` for a single one.
 * Knows captures, tracepoints and walks; knows neither pods nor Kubernetes: who plays which part is the caller's cast.
 */
export * from "./compare.ts";
export * from "./json.ts";
export * from "./observer.ts";
export * from "./pcapng.ts";
export * from "./probe.ts";
export * from "./table.ts";
export type { Peers } from "./topology.ts";
