import { readFileSync } from "node:fs";
import type { Traffic } from "../backend/index.ts";
import type { GatewayStatus } from "../gateway/index.ts";
import { openEtcdStore, type Store, type StoreState } from "../store/index.ts";
import type { DatapathStatus } from "./datapath.ts";
import { AgentError, messageOf } from "./errors.ts";
import { serveHealth } from "./health.ts";
import type { Log } from "./log.ts";
import { type RunningNode, startNode } from "./node.ts";
import type { Observer } from "./observer.ts";
import type { AgentOptions, MasqueradeMode } from "./options.ts";
import { requireNetAdmin } from "./preflight.ts";
import { type RunRecord, statusSocketPath, writeRunRecord } from "./status/run-record.ts";
import { serveStatus } from "./status/serve.ts";
import { Supervisor } from "./supervisor.ts";
import { Undo } from "./undo.ts";

/** The one line on stdout that says the node is up: `{"ready":true,"node":"node1","subnet":"10.244.1.0/24",…}`. */
export interface ReadyReport {
  readonly ready: true;
  readonly pid: number;
  readonly node: string;
  /** `10.244.1.0/24`; absent on a node without IPv4. */
  readonly subnet?: string;
  readonly ipv6Subnet?: string;
  readonly interface: string;
  readonly publicIp: string;
  readonly backend: string;
  /** `flannel.1`; none for a backend that needs none. */
  readonly devices: readonly string[];
  readonly mtu: number;
}

/** What the node is doing now. */
export interface AgentStatus extends Omit<ReadyReport, "ready"> {
  readonly datapath: DatapathStatus;
  readonly store: StoreState;
  /** Of a backend that carries packets itself. */
  readonly traffic?: Traffic;
  /** Keys and values under `<prefix>/subnets` that are no leases. */
  readonly skippedLeases: number;
  /** Absent when the options want no such rules. */
  readonly masquerade?: { readonly mode: MasqueradeMode; readonly isInPlace: boolean };
  /** ISO 8601; absent: the lease does not expire. */
  readonly leaseExpiresAt?: string;
  readonly gateway?: Omit<GatewayStatus, "badValues"> & { readonly badValues: Readonly<Record<string, string>> };
}

export interface AgentHooks {
  readonly log: Log;
  /** The agent's own, for the metrics. */
  readonly version?: string;
  /** How the agent was started, for `podpath status` and `podpath cleanup` to know when it is dead. */
  readonly started?: Pick<RunRecord, "args" | "env">;
  /** Called once, when every peer known by then is in the kernel and subnet.env is written. */
  readonly onReady?: (report: ReadyReport, status: () => AgentStatus) => void;
}

/**
 * Runs one node until `signal`, and leaves the datapath as it is then. Rejects when the node cannot start, with an
 * error whose message is for the operator, and then leaves nothing half-made behind.
 */
export async function runAgent(options: AgentOptions, hooks: AgentHooks, signal: AbortSignal): Promise<void> {
  requireNetAdmin();
  await using store = await openStore(options, hooks.log);
  // What start-up makes and what it opens: the first is undone only when the start fails, the second always.
  await using open = new Undo(hooks.log);
  const made = new Undo(hooks.log);
  let node: RunningNode | undefined;
  const supervisor = open.use(
    "stop telling the supervisor",
    new Supervisor({ log: hooks.log, whyDead: () => node?.whyDead(), status: () => statusLine(node) }),
  );
  try {
    const observer = await serveHealthOf(options, hooks, open, { node: () => node, signal });
    node = await startNode({ options, hooks, store, signal, made, open, observer });
    // From here on it belongs to the cluster, whatever becomes of this process.
    made.forget();
    hooks.log.info({ ...node.report }, "ready");
    await tellStatus(node, options, hooks, open);
    hooks.onReady?.(node.report, node.status);
    supervisor.ready();
    await node.run();
  } catch (error) {
    await made[Symbol.asyncDispose]();
    if (!signal.aborted) throw error;
  }
  if (!signal.aborted) return;
  hooks.log.info({}, "stopping; the datapath stays");
  supervisor.stopping();
}

/** `ready: 10.244.1.0/24 on flannel.1, 5 peers, store connected` */
function statusLine(node: RunningNode | undefined): string {
  if (!node) return "starting";
  const { subnet, ipv6Subnet, backend, devices, datapath, store } = node.status();
  const why = node.whyNotReady();
  const subnets = [subnet, ipv6Subnet].filter((prefix) => prefix !== undefined).join(" ");
  const parts = [
    `${subnets} on ${devices.join(" ") || backend}`,
    `${datapath.peers} peers`,
    `store ${store.connected ? "connected" : "away"}`,
  ];
  return `${why === undefined ? "ready" : `not ready, ${why}`}: ${parts.join(", ")}`;
}

/** For `podpath status`; a node works without. */
async function tellStatus(
  node: RunningNode,
  { subnetFile }: AgentOptions,
  hooks: AgentHooks,
  open: Undo,
): Promise<void> {
  const { log, started } = hooks;
  open.use("stop telling the status", await serveStatus(statusSocketPath(subnetFile), node.look, log));
  try {
    if (started) writeRunRecord(subnetFile, started);
  } catch (error) {
    log.warn({ err: error }, `podpath status will have to be told this agent's flags: ${messageOf(error)}`);
  }
}

/** Serves from the start on, so that a node that waits for its store is seen to live. */
async function serveHealthOf(
  { healthzIp: ip, healthzPort: port }: AgentOptions,
  { log, version = "unknown" }: AgentHooks,
  open: Undo,
  { node, signal }: { readonly node: () => RunningNode | undefined; readonly signal: AbortSignal },
): Promise<Observer | undefined> {
  if (port === 0) return undefined;
  const whyNotReady = (): string | undefined => {
    const running = node();
    if (signal.aborted) return "the node is stopping";
    return running ? running.whyNotReady() : "the node is starting";
  };
  const { Metrics } = await import("./metrics.ts");
  const metrics = open.use("stop measuring", new Metrics({ version, status: () => node()?.status(), whyNotReady }));
  const whyDead = (): string | undefined => node()?.whyDead();
  open.use(
    "stop serving --healthz-port",
    await serveHealth({ ip, port, whyDead, whyNotReady, metrics: () => metrics.text(), log }),
  );
  return metrics;
}

/** The store that the options name. @throws {AgentError} @throws {EtcdError} */
export async function openStore(options: AgentOptions, log: Log): Promise<Store> {
  const { etcdEndpoints, etcdCafile, etcdCertfile, etcdKeyfile, etcdUsername, etcdPassword } = options;
  if ((etcdCertfile === undefined) !== (etcdKeyfile === undefined))
    throw new AgentError("Cannot use TLS for etcd: --etcd-certfile and --etcd-keyfile are needed both or neither");
  const tls = {
    ...(etcdCafile && { ca: readPem(etcdCafile, "--etcd-cafile") }),
    ...(etcdCertfile && { cert: readPem(etcdCertfile, "--etcd-certfile") }),
    ...(etcdKeyfile && { key: readPem(etcdKeyfile, "--etcd-keyfile") }),
  };
  return openEtcdStore({
    endpoints: etcdEndpoints,
    ...(Object.keys(tls).length > 0 && { tls }),
    username: etcdUsername,
    password: etcdPassword,
    log,
  });
}

function readPem(path: string, option: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new AgentError(`Cannot read ${option} ${path}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}
