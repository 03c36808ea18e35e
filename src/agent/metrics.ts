// The agent in numbers, by Prometheus' naming conventions; docs/metrics.md has each. Loaded only where --healthz-port asks
// for it. No label's values are anybody else's to choose: what requests, keys and peers say never becomes one.
import { readdirSync } from "node:fs";
import { Counter, type CounterConfiguration, Gauge, Histogram, Registry } from "prom-client";
import type { AgentStatus } from "./agent.ts";
import type { Observer } from "./observer.ts";

const LAG_EVERY_MS = 1000;
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
/** What a request may claim to be. */
const COMMANDS = new Set(["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"]);

export interface MetricsSource {
  readonly version: string;
  /** undefined until the node is up. */
  readonly status: () => AgentStatus | undefined;
  readonly whyNotReady: () => string | undefined;
}

type Labels = Readonly<Record<string, string>>;

export class Metrics implements Observer, Disposable {
  readonly #registry = new Registry();
  readonly #changes = this.#counter({
    name: "podpath_kernel_changes_total",
    help: "Changes made to the kernel's state, by kind and by what led to them; cause=drift is a repair",
    labelNames: ["change", "cause"],
  });
  readonly #restored = this.#counter({
    name: "podpath_masquerade_restored_total",
    help: "Times the masquerade rules had been changed by someone else",
  });
  readonly #reconcile = this.#histogram(
    "podpath_reconcile_duration_seconds",
    "How long a look at the whole state took, with its repairs",
  );
  readonly #cni = this.#histogram("podpath_cni_call_duration_seconds", "CNI calls served, and how long they took", [
    "command",
    "result",
  ]);
  readonly #lag = this.#histogram("podpath_event_loop_lag_seconds", "How late a timer was that is due once a second");
  #lastPassMs: number | undefined;
  readonly #timer: NodeJS.Timeout;

  constructor(source: MetricsSource) {
    this.#describeNode(source);
    this.#describeStore(source);
    this.#describeGateway(source);
    this.#describeTraffic(source);
    this.#describeProcess();
    let due = performance.now() + LAG_EVERY_MS;
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#lag.observe(Math.max(0, now - due) / 1000);
      due = now + LAG_EVERY_MS;
    }, LAG_EVERY_MS).unref();
  }

  #describeNode({ version, status, whyNotReady }: MetricsSource): void {
    this.#gauges("podpath_build_info", "1, with the version as label", ["version"], () => [[{ version }, 1]]);
    this.#gauge("podpath_ready", "1 while the node is ready", () => (whyNotReady() === undefined ? 1 : 0));
    this.#gauge("podpath_peers", "Other nodes with a lease", () => status()?.datapath.peers);
    this.#gauges("podpath_leases", "Other nodes' leases by what this node does with them", ["state"], () =>
      Object.entries(status()?.datapath.leases ?? {}).map(([state, count]) => [{ state }, count]),
    );
    this.#gauge("podpath_peers_failed", "Parts of the state that the kernel refused in the last pass", () => {
      return status()?.datapath.failures.length;
    });
    this.#gauge("podpath_conflicts", "Peers whose place is taken by something that is not ours", () => {
      return status()?.datapath.conflicts.length;
    });
    this.#gauge("podpath_reconcile_last_timestamp_seconds", "When the kernel's state was last looked at", () => {
      return this.#lastPassMs === undefined ? undefined : this.#lastPassMs / 1000;
    });
    this.#gauge("podpath_lease_expiry_timestamp_seconds", "When this node's lease ends unless it is renewed", () => {
      const ends = status()?.leaseExpiresAt;
      return ends === undefined ? undefined : Date.parse(ends) / 1000;
    });
    this.#total("podpath_leases_skipped_total", "Keys and values under subnets/ that are no leases", () => {
      return status()?.skippedLeases;
    });
  }

  #describeStore({ status }: MetricsSource): void {
    this.#gauge("podpath_store_connected", "1 while the store answers", () => {
      const now = status();
      return now && (now.store.connected ? 1 : 0);
    });
    this.#gauge("podpath_store_last_heard_timestamp_seconds", "When the store last answered or told something", () => {
      const heardAtMs = status()?.store.heardAtMs;
      return heardAtMs === undefined ? undefined : heardAtMs / 1000;
    });
    this.#total("podpath_store_reconnects_total", "Times the store answered again after it had been lost", () => {
      return status()?.store.counts?.reconnects;
    });
    this.#total("podpath_store_watch_resumes_total", "Watches that went on where they were interrupted", () => {
      return status()?.store.counts?.watchResumes;
    });
    this.#total(
      "podpath_store_watch_restarts_total",
      "Watches that began anew: what they missed was compacted, or the store had lost it",
      () => status()?.store.counts?.watchRestarts,
    );
  }

  #describeGateway({ status }: MetricsSource): void {
    this.#gauge("podpath_gateway_services", "Services that the gateway knows", () => status()?.gateway?.services);
    this.#gauge("podpath_gateway_bad_values", "Services and EndpointSlices in the store that cannot be used", () => {
      const bad = status()?.gateway?.badValues;
      return bad && Object.keys(bad).length;
    });
    this.#totals("podpath_gateway_syncs_total", "Transactions that wrote the gateway's rules", ["kind"], () =>
      Object.entries(status()?.gateway?.syncs ?? {}).map(([kind, count]) => [{ kind }, count]),
    );
  }

  /** Of a backend that carries packets itself. */
  #describeTraffic({ status }: MetricsSource): void {
    const byDirection = (counts: Readonly<Record<string, number>> | undefined): [Labels, number][] =>
      Object.entries(counts ?? {}).map(([direction, count]) => [{ direction }, count]);
    this.#totals("podpath_tunnel_packets_total", "Packets into the tunnel (tx) and out of it (rx)", ["direction"], () =>
      byDirection(status()?.traffic?.packets),
    );
    this.#totals("podpath_tunnel_bytes_total", "Bytes into the tunnel (tx) and out of it (rx)", ["direction"], () =>
      byDirection(status()?.traffic?.bytes),
    );
    this.#totals("podpath_tunnel_drops_total", "Packets that the tunnel dropped, by reason", ["reason"], () =>
      Object.entries(status()?.traffic?.drops ?? {}).map(([reason, count]) => [{ reason }, count]),
    );
  }

  #describeProcess(): void {
    this.#gauge("process_resident_memory_bytes", "Resident memory", () => process.memoryUsage.rss());
    this.#gauge("process_open_fds", "Open file descriptors", () => readdirSync("/proc/self/fd").length);
    const startedAt = Date.now() / 1000 - process.uptime();
    this.#gauge("process_start_time_seconds", "When the process began", () => startedAt);
    this.#total("process_cpu_seconds_total", "Processor time used", () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    });
  }

  passed({ seconds, cause, changes }: Parameters<Observer["passed"]>[0]): void {
    this.#lastPassMs = Date.now();
    this.#reconcile.observe(seconds);
    for (const [change, count] of Object.entries(changes)) this.#changes.inc({ change, cause }, count);
  }

  masqueradeRestored(): void {
    this.#restored.inc();
  }

  cniCalled({ command, succeeded, seconds }: Parameters<Observer["cniCalled"]>[0]): void {
    const labels = { command: COMMANDS.has(command) ? command : "other", result: succeeded ? "ok" : "error" };
    this.#cni.observe(labels, seconds);
  }

  async text(): Promise<{ contentType: string; text: string }> {
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** What was last set goes: a value that is not known is not told. */
  #gauges(name: string, help: string, labelNames: string[], values: () => (readonly [Labels, number])[]): void {
    const collect = (): void => {
      one.reset();
      for (const [labels, value] of values()) one.set(labels, value);
    };
    const one = new Gauge({ name, help, labelNames, registers: [this.#registry], collect });
  }

  #gauge(name: string, help: string, value: () => number | undefined): void {
    const collect = (): void => {
      const now = value();
      if (now === undefined) one.remove();
      else one.set(now);
    };
    const one = new Gauge({ name, help, registers: [this.#registry], collect });
  }

  /** A counter that somebody else keeps. */
  #totals(name: string, help: string, labelNames: string[], values: () => (readonly [Labels, number])[]): void {
    const collect = (): void => {
      one.reset();
      for (const [labels, value] of values()) one.inc(labels, value);
    };
    const one = this.#counter({ name, help, labelNames, collect });
  }

  #total(name: string, help: string, value: () => number | undefined): void {
    this.#totals(name, help, [], () => [[{}, value() ?? 0]]);
  }

  #counter(configuration: CounterConfiguration<string>): Counter {
    return new Counter({ ...configuration, registers: [this.#registry] });
  }

  #histogram(name: string, help: string, labelNames: string[] = []): Histogram {
    return new Histogram({ name, help, labelNames, buckets: SECONDS, registers: [this.#registry] });
  }
}
