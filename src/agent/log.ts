import type { BaseLogger } from "pino";

/** What this folder and what it wires need of a logger. */
export type Log = Pick<BaseLogger, "debug" | "info" | "warn" | "error">;
