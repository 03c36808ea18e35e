// Builds the cluster, in the order in which its parts need each other; what does not depend on each other runs together.
import { join } from "node:path";
import { nameNetNs } from "../kernel/index.ts";
import { installCni } from "../plugins/index.ts";
import { type Agent, CNI_SOCKET, startAgent } from "./agents.ts";
import { Cluster, type Step } from "./cluster.ts";
import { untilConverged } from "./convergence.ts";
import { endpointsOf, syncServices } from "./endpoints.ts";
import { LabError } from "./errors.ts";
import { buildFabric } from "./fabric.ts";
import { lastLine } from "./logs.ts";
import { readWorkload, type Workload } from "./manifest.ts";
import type { LabProcesses, LabSpec } from "./messages.ts";
import { CNI_BIN, CNI_CONF, type LabNode, startNode } from "./node.ts";
import { requireKernel } from "./preflight.ts";
import type { LabPrograms } from "./programs.ts";
import { RunningContainer } from "./runtime/container.ts";
import { RunningPod, type RuntimeOptions } from "./runtime/pod.ts";
import type { StateDir } from "./state-dir.ts";
import { openStore, type StoreKind, startStore } from "./store-node.ts";
import { hasAgent, NETWORK_CONFIG, planNodes, STORE_PREFIX } from "./topology.ts";

/** What the client outside serves, as the pods do. */
const CLIENT_CONTAINER = {
  name: "client",
  env: [],
  ports: [{ containerPort: 8080, protocol: "TCP" as const }],
};

export interface BuildOptions {
  readonly spec: LabSpec;
  readonly dir: StateDir;
  readonly processes: LabProcesses;
  readonly rootless: boolean;
  readonly programs: LabPrograms;
  readonly step: Step;
}

/** @throws {LabError} whatever was made until then ends with the supervisor */
export async function buildCluster(options: BuildOptions): Promise<Cluster> {
  const { spec, dir, programs, step } = options;
  const workload = readWorkload(spec.manifests, spec.nodes);
  const runtime: RuntimeOptions = {
    logs: dir.logs,
    echoCommand: [...programs.container, "serve"],
    programFolder: programs.folder,
  };
  await step("kernel: what it has", requireKernel);
  const nodes = await step("namespaces", () => Promise.all(planNodes(spec.nodes).map((plan) => startNode(plan, dir))));
  await step("fabric", () => {
    buildFabric(nodes);
    for (const { plan, anchor } of nodes) nameNetNs(anchor.ns, `/run/netns/${plan.name}`);
  });
  const storeKind: StoreKind = spec.etcd ? "etcd" : "embedded";
  const client = startClient(nodes, runtime);
  client.catch(() => {});
  const { store, storeDaemon } = await step(`store: ${storeKind}`, () => bringUpStore(storeKind, nodes, options));
  await store.put(`${STORE_PREFIX}/config`, NETWORK_CONFIG);
  const agents = await step("agents: leases", async () => {
    const started = nodes
      .filter(({ plan }) => hasAgent(plan))
      .map((node) => startAgent(node, dir, programs, spec.daemonEnv));
    for (const { node } of started) if (node.plan.role === "node") installPlugins(node);
    await Promise.all(started.map(({ ready }) => ready));
    return started;
  });
  const pods = await step("pods: CNI ADD, containers", () => startPods(workload, agents, runtime));
  await step("Services", () =>
    syncServices(
      store,
      workload.services,
      pods.map(({ withStatus }) => withStatus),
    ),
  );
  await step("convergence", () => {
    const statuses = pods.map(({ withStatus }) => withStatus);
    return untilConverged(
      agents,
      workload.services.flatMap((service) => endpointsOf(service, statuses)),
    );
  });
  return new Cluster({
    ...options,
    storeKind,
    storeDaemon,
    store,
    nodes,
    agents,
    pods,
    client: await client,
    services: workload.services,
  });
}

function bringUpStore(kind: StoreKind, nodes: readonly LabNode[], { spec, dir, programs }: BuildOptions) {
  const node = theNode(nodes, "store");
  const isUp = new AbortController();
  const storeDaemon = startStore(kind, node, { dir, programs, env: spec.daemonEnv ?? {} }, (how) =>
    isUp.abort(new LabError("start the store", { reason: lastLine(join(dir.logs, "store.log")) ?? how })),
  );
  return openStore(kind, dir, isUp.signal).then((store) => ({ store, storeDaemon }));
}

function startClient(nodes: readonly LabNode[], runtime: RuntimeOptions): Promise<RunningContainer> {
  return RunningContainer.start({
    container: CLIENT_CONTAINER,
    podPid: theNode(nodes, "client").anchor.pid,
    podName: "client",
    logFile: join(runtime.logs, "client.log"),
    defaultCommand: runtime.echoCommand,
    programFolder: runtime.programFolder,
  });
}

function installPlugins({ anchor }: LabNode): void {
  installCni({
    binDir: join(anchor.root, CNI_BIN),
    confDir: join(anchor.root, CNI_CONF),
    socketPath: CNI_SOCKET,
  });
}

/** All pods at once, but those of one node one after another, so that their addresses are the same in every run. */
async function startPods(workload: Workload, agents: readonly Agent[], runtime: RuntimeOptions): Promise<RunningPod[]> {
  const pods = await Promise.all(
    agents.map(async ({ node }) => {
      const running: RunningPod[] = [];
      for (const pod of workload.pods.filter(({ spec }) => spec.nodeName === node.plan.name))
        running.push(await RunningPod.start(pod, node, runtime));
      return running;
    }),
  );
  return pods.flat();
}

function theNode(nodes: readonly LabNode[], name: string): LabNode {
  const node = nodes.find(({ plan }) => plan.name === name);
  if (!node) throw new LabError(`find ${name}`, { reason: "the plan has none" });
  return node;
}
