import type { NetNs } from "../kernel/index.ts";
import type { Hop, ProbeProtocol } from "../model/index.ts";

/** A network namespace to watch. */
export interface ObservedNamespace {
  /** The machine it belongs to: `node1`, `gateway`, `client`, `fabric`. */
  readonly node: string;
  /** Unique in the trace: `node1`, `pod-a`. */
  readonly name: string;
  readonly ns: NetNs;
  /**
   * Device -> the other end of its veth pair. Optional: settles the order of hops in different namespaces where the
   * clock alone could not.
   */
  readonly peers?: Readonly<Record<string, { readonly namespace: string; readonly device: string }>>;
}

/** How to know the probe's packets by their content. */
export interface ProbeMatch {
  readonly protocol: ProbeProtocol;
  /** Bytes that only the request's payload has: `podpath-ping 4f1c…`. */
  readonly request: string;
  /** The same for the reply: `podpath-pong 4f1c…`. For ICMP both are the same; the echo's type tells them apart. */
  readonly reply: string;
  /** Payload lengths, if known: then the kernel's tracepoints are filtered by length, and busy machines do not matter. */
  readonly requestBytes?: number;
  readonly replyBytes?: number;
}

export interface Observation {
  /** The request's hops, then the reply's. */
  readonly hops: readonly Hop[];
  /** About the whole: the TCP handshake, retransmissions, flooded copies, kernel events. */
  readonly evidence: readonly string[];
  /** What could not be observed, and why: no tracefs, frames lost. */
  readonly unavailable: readonly string[];
  /** What the probe threw, if it did; the hops up to then are there all the same. */
  readonly error?: unknown;
}

export interface ProbeRun {
  readonly match: ProbeMatch;
  /** Sends the probe and returns when the reply is there (or is given up). */
  readonly run: () => Promise<void>;
}

export interface ObserverOptions {
  /** `false`: no tracepoints, captures only. */
  readonly tracefs?: boolean;
}

/** Captures in a set of namespaces, opened once and used for many probes. */
export class Observer implements Disposable {
  static open(namespaces: readonly ObservedNamespace[], options: ObserverOptions = {}): Observer {
    throw new Error(`Observer.open(${namespaces.length}, ${options.tracefs}): not written yet`);
  }

  async observe(probe: ProbeRun): Promise<Observation> {
    throw new Error(`observe(${probe.match.request}): not written yet`);
  }

  close(): void {}

  [Symbol.dispose](): void {
    this.close();
  }
}

/** One probe: opens the captures, runs it, closes them. */
export async function observe(
  options: ProbeRun & ObserverOptions & { readonly namespaces: readonly ObservedNamespace[] },
): Promise<Observation> {
  using observer = Observer.open(options.namespaces, options);
  return await observer.observe(options);
}
