export interface TraceEventRequest {
  /** `net:net_dev_queue` */
  readonly event: string;
  /** The kernel's filter language: `len==819 || len==805`. */
  readonly filter?: string;
}

export interface TraceEvent {
  /** On the same clock as a capture's timestamps, to the microsecond. */
  readonly timestampNs: bigint;
  readonly cpu: number;
  /** `net_dev_queue` */
  readonly name: string;
  /** The event as the kernel prints it. */
  readonly text: string;
  /** `dev=eth0 len=98` as fields. */
  readonly fields: Readonly<Record<string, string>>;
}

export interface TraceInstance extends Disposable {
  readonly available: true;
  /** Events that this kernel does not have, with the reason. */
  readonly missing: readonly string[];
  setFilter(event: string, filter: string): void;
  start(): void;
  stop(): void;
  /** The events since the last call, oldest first. */
  read(): TraceEvent[];
  close(): void;
}

export interface TraceUnavailable {
  readonly available: false;
  readonly reason: string;
}

/** A private tracefs instance with the wanted events and kernel-side filters, or why there is none. */
export function openTraceInstance(events: readonly TraceEventRequest[]): TraceInstance | TraceUnavailable {
  return { available: false, reason: `not written yet (${events.length} events)` };
}
