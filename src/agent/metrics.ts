// The agent in numbers, by Prometheus' naming conventions. Loaded only where --healthz-port asks for it.
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Traffic } from "../backend/index.ts";
import type { AgentStatus } from "./agent.ts";
import type { Observer } from "./observer.ts";

const LAG_EVERY_MS = 1000;
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
/** What a request may claim to be; whatever else it says shall not become a label. */
const COMMANDS = new Set(["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"]);

export class Metrics implements Observer, Disposable {
  readonly #registry = new Registry();
  readonly #changes = new Counter({
    ...this.#named(
      "podpath_kernel_changes_total",
      "Changes made to the kernel's state, by kind and by what led to them",
    ),
    labelNames: ["change", "cause"],
  });
  readonly #restored = new Counter(
    this.#named("podpath_masquerade_restored_total", "Times the masquerade rules had been changed by someone else"),
  );
  readonly #reconcile = new Histogram({
    ...this.#named("podpath_reconcile_duration_seconds", "How long a look at the whole state took, with its repairs"),
    buckets: SECONDS,
  });
  readonly #cni = new Histogram({
    ...this.#named("podpath_cni_call_duration_seconds", "CNI calls served, and how long they took"),
    labelNames: ["command", "result"],
    buckets: SECONDS,
  });
  readonly #lag = new Histogram({
    ...this.#named("podpath_event_loop_lag_seconds", "How late a timer was that is due once a second"),
    buckets: SECONDS,
  });
  readonly #timer: NodeJS.Timeout;

  /** @param status undefined until the node is up */
  constructor(status: () => AgentStatus | undefined, whyNotReady: () => string | undefined) {
    const gauge = (name: string, help: string, value: () => number | undefined): void => {
      const collect = (): void => {
        const now = value();
        if (now === undefined) one.remove();
        else one.set(now);
      };
      const one = new Gauge({ ...this.#named(name, help), collect });
    };
    gauge("podpath_ready", "1 while the node is ready", () => (whyNotReady() === undefined ? 1 : 0));
    gauge("podpath_peers", "Other nodes with a lease", () => status()?.datapath.peers);
    gauge("podpath_peers_failed", "Parts of the state that the kernel refused in the last pass", () => {
      return status()?.datapath.failures.length;
    });
    gauge("podpath_conflicts", "Peers whose place is taken by something that is not ours", () => {
      return status()?.datapath.conflicts.length;
    });
    gauge("podpath_store_connected", "1 while the store answers", () => {
      const now = status();
      return now && (now.store.connected ? 1 : 0);
    });
    gauge("process_resident_memory_bytes", "Resident memory", () => process.memoryUsage.rss());
    const total = (name: string, help: string, value: () => number | undefined): void => {
      const collect = (): void => {
        one.reset();
        one.inc(value() ?? 0);
      };
      const one = new Counter({ ...this.#named(name, help), collect });
    };
    total("podpath_leases_skipped_total", "Keys and values under subnets/ that are no leases", () => {
      return status()?.skippedLeases;
    });
    const each = (name: string, help: string, label: string, values: (traffic: Traffic) => Traffic["drops"]): void => {
      const collect = (): void => {
        one.reset();
        const traffic = status()?.traffic;
        if (traffic) for (const [of, value] of Object.entries(values(traffic))) one.inc({ [label]: of }, value);
      };
      const one = new Counter({ ...this.#named(name, help), labelNames: [label], collect });
    };
    const ways = "into the tunnel (tx) and out of it (rx), where this node itself carries them: backend udp";
    each("podpath_tunnel_packets_total", `Packets ${ways}`, "direction", ({ packets }) => packets);
    each("podpath_tunnel_bytes_total", `Bytes ${ways}`, "direction", ({ bytes }) => bytes);
    each("podpath_tunnel_drops_total", "Packets that the tunnel dropped, by reason", "reason", ({ drops }) => drops);
    total("process_cpu_seconds_total", "Processor time used", () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    });
    let due = performance.now() + LAG_EVERY_MS;
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#lag.observe(Math.max(0, now - due) / 1000);
      due = now + LAG_EVERY_MS;
    }, LAG_EVERY_MS).unref();
  }

  passed({ seconds, cause, changes }: Parameters<Observer["passed"]>[0]): void {
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

  #named(name: string, help: string): { name: string; help: string; registers: [Registry] } {
    return { name, help, registers: [this.#registry] };
  }
}
