// What the soak's runner, inside the lab, and the command that started it say to each other.
import type { ProbeProtocol } from "../../model/index.ts";
import type { LabInfo } from "../messages.ts";

/** To the runner: one JSON document on its stdin. */
export interface SoakRequest {
  readonly info: LabInfo;
  readonly seed: number;
  readonly durationMs: number;
  /** How many times as long as on an idle machine a repair may take. */
  readonly patience: number;
  /** The clocks of agents and store can be set: see clock.ts. */
  readonly hasClocks: boolean;
  /** The beginning of a command line that runs flows. */
  readonly flow: readonly string[];
  /** Only these kinds of faults; empty: all. */
  readonly only: readonly string[];
}

/** A packet that had no answer. */
export interface Loss {
  readonly protocol: ProbeProtocol;
  readonly from: string;
  readonly fromNode: string;
  readonly to: string;
  readonly toNode: string;
  /** CLOCK_MONOTONIC. */
  readonly sentMs: number;
  /** When the oldest packet was sent that this one had to wait for: TCP delivers in order. */
  readonly waitingSinceMs: number;
}

export interface Round {
  readonly number: number;
  /** `delete-route node1 -> node2` */
  readonly faults: readonly string[];
  /** How long the faults were under way. */
  readonly faultMs: number;
  /** From then on until every cell of every node was right. */
  readonly repairMs: number;
}

export interface SoakResult {
  readonly seed: number;
  readonly rounds: number;
  readonly faults: number;
  readonly cells: number;
  readonly sent: number;
  readonly received: number;
  /** By faults, so explained. */
  readonly lostToFaults: number;
  readonly violations: readonly string[];
  /** Milliseconds to repair, by kind of fault, of the rounds that had only one. */
  readonly repairs: Readonly<
    Record<string, { readonly count: number; readonly medianMs: number; readonly maxMs: number }>
  >;
}

/** From the runner: JSON lines on its stdout. */
export type FromSoak =
  | { readonly type: "round"; readonly round: Round }
  | { readonly type: "violation"; readonly text: string }
  | { readonly type: "done"; readonly result: SoakResult };
