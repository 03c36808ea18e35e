/**
 * The trace vocabulary (hop, stage, change, difference) and `walks/`: the six scenarios as data.
 *
 * Pure: knows packets, and nothing of how they were captured. Names follow Antrea's Traceflow, Batfish and KubeSkoop.
 */
export * from "./change.ts";
export * from "./stage.ts";
export * from "./vocabulary.ts";
export * from "./walks/index.ts";
