/** The daemon itself, as opposed to what it made. */
export interface AgentInfo {
  readonly state: "running" | "silent" | "not running" | "unknown";
  readonly pid?: number;
  /** Why /readyz would say no. */
  readonly notReady?: string;
  /** What it could not program in its last pass. */
  readonly failures?: readonly string[];
}
