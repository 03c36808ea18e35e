import type { ProbeProtocol } from "../model/index.ts";

/** How to know the probe's packets by their content. */
export interface ProbeMatch {
  readonly protocol: ProbeProtocol;
  /** Text that only the request's payload has: `podpath-ping 4f1c…`. */
  readonly request: string;
  /** The same for the reply: `podpath-pong 4f1c…`. For ICMP both may be the same; the echo's type tells them apart. */
  readonly reply: string;
  /** TCP: the port that is asked. With it a connection that never came about is shown by its SYN. */
  readonly port?: number;
  /** Payload lengths, if known: then the kernel's tracepoints are filtered by length, and busy machines do not matter. */
  readonly requestBytes?: number;
  readonly replyBytes?: number;
}

export interface ProbeRun {
  readonly match: ProbeMatch;
  /** Sends the probe and returns when the reply is there (or is given up). */
  readonly run: () => Promise<void>;
}
