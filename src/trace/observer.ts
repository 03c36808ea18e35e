import {
  type Capture,
  type NetNs,
  openCapture,
  openTraceInstance,
  type TraceEvent,
  type TraceInstance,
  type TraceUnavailable,
} from "../kernel/index.ts";
import type { Hop } from "../model/index.ts";
import { lengthFilter, TRACE_EVENTS } from "./kernel-events.ts";
import type { ProbeMatch, ProbeRun } from "./probe.ts";
import { sight } from "./sighting.ts";
import { tell } from "./tell.ts";
import { type Peers, readTopology } from "./topology.ts";

/** A network namespace to watch. */
export interface ObservedNamespace {
  /** The machine it belongs to: `node1`, `gateway`, `client`, `fabric`. */
  readonly node: string;
  /** Unique in the trace: `node1`, `pod-a`. */
  readonly name: string;
  readonly ns: NetNs;
  /**
   * Device -> the other end of its veth pair. Optional: found out where device indices are unmistakable. Settles the
   * order of hops in different namespaces, and which copies of a flooded frame nobody wanted.
   */
  readonly peers?: Peers;
}

export interface Observation {
  /** The request's hops, then the reply's. */
  readonly hops: readonly Hop[];
  /** About the whole: the TCP handshake, retransmissions, flooded copies. */
  readonly evidence: readonly string[];
  /** What could not be observed, and why: no tracefs, frames lost. */
  readonly unavailable: readonly string[];
  /** What the probe threw, if it did; the hops up to then are there all the same. */
  readonly error?: unknown;
}

export interface ObserverOptions {
  /** Why there are to be no tracepoints, captures only; absent: try. */
  readonly withoutTracefs?: string;
}

interface Watched extends ObservedNamespace {
  readonly capture: Capture;
}

/** Captures in a set of namespaces, opened once and used for many probes, one at a time. */
export class Observer implements Disposable {
  readonly #watched: readonly Watched[];
  readonly #trace: TraceInstance | TraceUnavailable;
  #isStamping = false;

  private constructor(watched: readonly Watched[], trace: TraceInstance | TraceUnavailable) {
    this.#watched = watched;
    this.#trace = trace;
  }

  static open(namespaces: readonly ObservedNamespace[], options: ObserverOptions = {}): Observer {
    const watched: Watched[] = [];
    try {
      for (const namespace of namespaces) watched.push({ ...namespace, capture: openCapture(namespace.ns) });
    } catch (error) {
      for (const { capture } of watched) capture.close();
      throw error;
    }
    const trace =
      options.withoutTracefs === undefined
        ? openTraceInstance(TRACE_EVENTS)
        : { available: false as const, reason: options.withoutTracefs };
    return new Observer(watched, trace);
  }

  /** Runs one probe and tells every hop of its request and its reply. Rejects only when the observing itself fails. */
  async observe({ match, run }: ProbeRun): Promise<Observation> {
    const unavailable: string[] = [];
    if (!(await this.#stamping()))
      unavailable.push("the kernel stamps no frames: hops in different namespaces may be out of order");
    for (const { capture } of this.#watched) capture.drain();
    const dropsBefore = this.#drops();
    this.#startTrace(match);
    let failure: { error: unknown } | undefined;
    try {
      await run();
    } catch (error) {
      failure = { error };
    }
    const events = this.#stopTrace(unavailable);
    const sightings = this.#watched.flatMap(({ node, name, capture }) =>
      capture.drain().map((captured) => sight(node, name, captured)),
    );
    for (const [name, drops] of this.#drops()) {
      const lost = drops - (dropsBefore.get(name) ?? 0);
      if (lost > 0) unavailable.push(`${lost} frames in ${name} were lost: the capture's buffer was full`);
    }
    const { hops, evidence } = tell(sightings, match, readTopology(this.#watched), events);
    return { hops, evidence, unavailable, ...failure };
  }

  close(): void {
    for (const { capture } of this.#watched) capture.close();
    if (this.#trace.available) this.#trace.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #drops(): Map<string, number> {
    return new Map(this.#watched.map(({ name, capture }) => [name, capture.drops]));
  }

  /** The first capture of a machine has to wait until the kernel stamps frames: milliseconds, and nothing tells. */
  async #stamping(): Promise<boolean> {
    for (let tries = 0; !this.#isStamping && tries < 500; tries++) {
      this.#isStamping = this.#watched.some(({ capture }) => capture.isStamping());
      if (!this.#isStamping) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return this.#isStamping;
  }

  #startTrace(match: ProbeMatch): void {
    if (!this.#trace.available) return;
    const filter = lengthFilter(match) ?? "len>0";
    this.#trace.setFilter("net:net_dev_queue", filter);
    this.#trace.setFilter("net:netif_receive_skb", filter);
    this.#trace.start();
  }

  #stopTrace(unavailable: string[]): TraceEvent[] {
    if (!this.#trace.available) {
      unavailable.push(`kernel tracepoints: ${this.#trace.reason}`);
      return [];
    }
    const lostBefore = this.#trace.lost;
    this.#trace.stop();
    const events = this.#trace.read();
    const lost = this.#trace.lost - lostBefore;
    if (lost > 0) unavailable.push(`kernel tracepoints: ${lost} events were lost, the ring was full`);
    unavailable.push(...this.#trace.missing.map((what) => `kernel tracepoints: ${what}`));
    return events;
  }
}

/** One probe: opens the captures, runs it, closes them. */
export async function observe(
  options: ProbeRun & ObserverOptions & { readonly namespaces: readonly ObservedNamespace[] },
): Promise<Observation> {
  using observer = Observer.open(options.namespaces, options);
  return await observer.observe(options);
}
