import type { CniCall, CniCommand, Environment, JsonObject, NetConf, Result } from "../formats/cni/index.ts";
import type { Host } from "./host.ts";
import type { RuleMaker } from "./rules/wanted.ts";
import type { UndoStack } from "./undo.ts";

/** One call, checked: what every plugin is handed. */
export interface Call extends CniCall {
  readonly conf: NetConf;
  readonly env: Environment;
  readonly host: Host;
  /** Of the whole ADD, delegates included: what is pushed here is undone when any step after it fails. */
  readonly undo: UndoStack;
  /** A line for stderr. */
  readonly log: (line: string) => void;
  /** Hands `conf` to the plugin it names by `type`: one of ours in this process, any other executed from CNI_PATH. */
  readonly delegate: (conf: JsonObject, command?: CniCommand) => Promise<Result>;
}

/** A CNI plugin: one function a verb. Failures are thrown; skel.ts makes the specification's JSON of them. */
export interface Plugin {
  readonly add: (call: Call) => Promise<Result> | Result;
  readonly del: (call: Call) => Promise<void> | void;
  readonly check: (call: Call) => Promise<void> | void;
  readonly status: (call: Call) => Promise<void> | void;
  readonly gc: (call: Call) => Promise<void> | void;
  /** Of a plugin that makes netfilter rules. */
  readonly rules?: RuleMaker;
}
