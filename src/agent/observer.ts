/** Is told what the agent does; see metrics.ts. */
export interface Observer {
  passed(pass: {
    readonly seconds: number;
    /** What led to it: the start, a change of leases, or else a drift of the kernel's state. */
    readonly cause: PassCause;
    /** Changes made, by kind: `replace-route`. */
    readonly changes: Readonly<Record<string, number>>;
  }): void;
  masqueradeRestored(): void;
  cniCalled(call: { readonly command: string; readonly succeeded: boolean; readonly seconds: number }): void;
}

export type PassCause = "start" | "leases" | "drift";
