// The kernel's tracepoints through a private tracefs instance: a ring buffer of our own that nobody else's tracing
// touches. Events are machine-wide and know no network namespace, so filters in the kernel must make them few.
//
// An instance outlives its maker. Ours are called podpath-<pid>-<n>, and whoever opens one removes those that nobody
// uses: the kernel refuses (EBUSY) while somebody has the instance's trace_pipe open, which we have for as long as we
// live. A pid in the name could not tell that: labs have PID namespaces of their own.

import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { toRealtimeNs } from "./clock.ts";
import { check, mountDetached } from "./sys.ts";
import {
  filterFields,
  parseLostLine,
  parseTraceFields,
  parseTraceFormat,
  parseTraceLine,
  type TraceFormat,
} from "./trace-format.ts";

export interface TraceEventRequest {
  /** `net:net_dev_queue` */
  readonly event: string;
  /** The kernel's filter language: `len==819 || len==805`. */
  readonly filter?: string;
}

export interface TraceEvent {
  /** CLOCK_REALTIME as a capture's timestamps, to the microsecond. */
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
  /** `podpath-412-0`, in instances/. */
  readonly name: string;
  /** What this kernel cannot do of what was asked, with the reason. */
  readonly missing: readonly string[];
  /** Events that came faster than they were read. */
  readonly lost: number;
  /** Only while it is stopped or nothing is expected. `0`: nothing passes. */
  setFilter(event: string, filter: string): void;
  /** Recording begins, without what was left unread. */
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

export interface TraceOptions {
  /** Of each CPU's ring; 1024 unless said. */
  readonly bufferKb?: number;
}

const PREFIX = "podpath-";
const MOUNTED = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
let count = 0;

/** A private trace instance, stopped, with the wanted events and their filters; or why there can be none. */
export function openTraceInstance(
  events: readonly TraceEventRequest[],
  options: TraceOptions = {},
): TraceInstance | TraceUnavailable {
  let root: TracefsRoot | undefined;
  let instance: Instance | undefined;
  try {
    root = openRoot();
    removeStale(`${root.path}/instances`);
    instance = makeInstance(root);
    instance.setUp(events, options.bufferKb ?? 1024);
    return instance;
  } catch (error) {
    if (instance) instance.close();
    else root?.close();
    return { available: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

interface TracefsRoot {
  readonly path: string;
  close(): void;
}

/** Where tracefs is mounted, or else a mount of our own that is attached nowhere: the machine stays as it was. */
function openRoot(): TracefsRoot {
  const path = MOUNTED.find((candidate) => existsSync(`${candidate}/instances`));
  if (path) return { path, close: () => {} };
  const fd = check(mountDetached("tracefs"), "mount tracefs");
  return { path: `/proc/self/fd/${fd}`, close: () => closeSync(fd) };
}

function removeStale(instances: string): void {
  for (const name of readdirSync(instances).filter((entry) => entry.startsWith(PREFIX)))
    try {
      rmdirSync(`${instances}/${name}`);
    } catch {
      // In use: somebody's, alive. Anything else is not ours to solve either.
    }
}

function makeInstance(root: TracefsRoot): Instance {
  for (let tries = 0; ; tries++) {
    const name = `${PREFIX}${process.pid}-${count++}`;
    const path = `${root.path}/instances/${name}`;
    try {
      mkdirSync(path);
      return new Instance(root, name, path, openSync(`${path}/trace_pipe`, constants.O_RDONLY | constants.O_NONBLOCK));
    } catch (error) {
      // Taken by the same pid of another PID namespace, or removed as stale before its trace_pipe was open.
      const isRace = error instanceof Error && "code" in error && (error.code === "EEXIST" || error.code === "ENOENT");
      if (!isRace || tries >= 20) throw error;
    }
  }
}

class Instance implements TraceInstance {
  readonly available = true;
  readonly name: string;
  readonly missing: string[] = [];
  lost = 0;
  readonly #root: TracefsRoot;
  readonly #path: string;
  readonly #pipe: number;
  readonly #buffer = new Uint8Array(0x10000);
  readonly #formats = new Map<string, TraceFormat>();
  #clock: "tai" | "mono" = "mono";
  #isOpen = true;

  constructor(root: TracefsRoot, name: string, path: string, pipe: number) {
    this.#root = root;
    this.name = name;
    this.#path = path;
    this.#pipe = pipe;
  }

  setUp(events: readonly TraceEventRequest[], bufferKb: number): void {
    this.#write("tracing_on", "0");
    this.#write("buffer_size_kb", String(bufferKb));
    // Captures have CLOCK_REALTIME, which is no trace clock. CLOCK_TAI follows its steps at a constant distance.
    const clocks = this.#read("trace_clock").split(/[\s[\]]+/);
    this.#clock = clocks.includes("tai") ? "tai" : "mono";
    this.#write("trace_clock", this.#clock);
    for (const { event, filter } of events) {
      const folder = `events/${event.replace(":", "/")}`;
      if (!existsSync(`${this.#path}/${folder}/format`)) {
        this.missing.push(`this kernel has no tracepoint ${event}`);
        continue;
      }
      this.#formats.set(event, parseTraceFormat(this.#read(`${folder}/format`)));
      if (filter) this.setFilter(event, filter);
      this.#write(`${folder}/enable`, "1");
    }
  }

  setFilter(event: string, filter: string): void {
    const format = this.#formats.get(event);
    if (!format) return;
    const unknown = filterFields(filter).filter((field) => !format.fields.has(field));
    if (unknown.length > 0) {
      const note = `${event} has no field ${unknown.join(", ")} here: not filtered`;
      if (!this.missing.includes(note)) this.missing.push(note);
      return;
    }
    this.#write(`events/${event.replace(":", "/")}/filter`, filter);
  }

  start(): void {
    // Reading empties the ring as truncating `trace` does, without waiting for all CPUs (15 ms).
    this.#drain();
    this.#write("tracing_on", "1");
  }

  stop(): void {
    this.#write("tracing_on", "0");
  }

  read(): TraceEvent[] {
    const offset = toRealtimeNs(this.#clock);
    const events: TraceEvent[] = [];
    for (const line of this.#drain().split("\n")) {
      this.lost += parseLostLine(line);
      const parsed = parseTraceLine(line);
      if (!parsed) continue;
      const { cpu, time, name, text } = parsed;
      events.push({ timestampNs: time + offset, cpu, name, text, fields: parseTraceFields(text) });
    }
    return events.sort((a, b) => (a.timestampNs < b.timestampNs ? -1 : a.timestampNs > b.timestampNs ? 1 : 0));
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.#pipe);
    try {
      rmdirSync(this.#path);
    } catch {
      // Somebody looks into it at this moment; the next to open one removes it.
    }
    this.#root.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #drain(): string {
    const decoder = new TextDecoder();
    let text = "";
    for (;;)
      try {
        const length = readSync(this.#pipe, this.#buffer);
        if (length === 0) break;
        text += decoder.decode(this.#buffer.subarray(0, length), { stream: true });
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "EAGAIN") break;
        throw error;
      }
    return text;
  }

  #read(file: string): string {
    return readFileSync(`${this.#path}/${file}`, "utf8");
  }

  #write(file: string, text: string): void {
    writeFileSync(`${this.#path}/${file}`, text);
  }
}
