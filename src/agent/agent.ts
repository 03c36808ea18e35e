import type { BaseLogger } from "pino";
import type { AgentOptions } from "./options.ts";

export type Log = Pick<BaseLogger, "debug" | "info" | "warn" | "error">;

/** The one line on stdout that says the node is up: `{"ready":true,"node":"node1","subnet":"10.244.1.0/24",…}`. */
export interface ReadyReport {
  readonly ready: true;
  readonly pid: number;
  readonly node: string;
  /** `10.244.1.0/24`. */
  readonly subnet: string;
  readonly publicIp: string;
  readonly backend: string;
  /** `flannel.1`; absent for a backend that needs none. */
  readonly device?: string;
  readonly mtu: number;
}

export interface AgentHooks {
  readonly log: Log;
  /** Called once, when subnet.env is written and every peer known then is in the kernel. */
  readonly onReady?: (report: ReadyReport) => void;
}

/**
 * Runs one node until `signal`, and leaves the datapath as it is then. Rejects when the node cannot start, with an
 * AgentError, and then with nothing half-made left behind.
 */
export async function runAgent(options: AgentOptions, hooks: AgentHooks, signal: AbortSignal): Promise<void> {
  throw new Error(`not yet: ${options} ${hooks} ${signal}`);
}
