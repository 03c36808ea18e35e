// What the scenarios' runner, inside the lab, and the command that started it say to each other.
import type { ProbeProtocol } from "../../model/index.ts";
import type { Difference, JsonHop } from "../../trace/index.ts";
import type { LabInfo } from "../messages.ts";

/** To the runner: one JSON document on its stdin. */
export interface ScenariosRequest {
  readonly info: LabInfo;
  /** Scenario numbers; empty: all. */
  readonly only: readonly number[];
  readonly protocols: readonly ProbeProtocol[];
  /** Width of the hop tables. */
  readonly columns: number;
  readonly pcapng: boolean;
  /** The beginning of a command line that runs a probe. */
  readonly probe: readonly string[];
}

/** One scenario over one protocol: an element of `lab scenarios --json`. */
export interface ScenarioResult {
  readonly number: number;
  readonly name: string;
  readonly title: string;
  readonly protocol: ProbeProtocol;
  /** Every hop and every change, there and back, is as the walk says. */
  readonly ok: boolean;
  readonly from: string;
  readonly to: string;
  readonly request: { readonly hops: readonly JsonHop[] };
  readonly reply: { readonly hops: readonly JsonHop[] };
  readonly differences: readonly Difference[];
  /** What the kernel said about the whole. */
  readonly evidence: readonly string[];
  /** What could not be observed here, and why. */
  readonly unavailable: readonly string[];
  /** The probe itself failed. */
  readonly error?: string;
}

/** From the runner: JSON lines on its stdout. */
export type FromRunner =
  | { readonly type: "scenario"; readonly result: ScenarioResult; readonly table: string }
  | { readonly type: "skipped"; readonly number: number; readonly title: string; readonly reason: string }
  | { readonly type: "pcapng"; readonly base64: string }
  | { readonly type: "done" };
