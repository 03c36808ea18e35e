import type { Walk } from "./walk.ts";

export * from "./walk.ts";

/** The six scenarios, in order. */
export const WALKS: readonly Walk[] = [];
