// The cluster inside the lab's namespaces, and what can be done to it once it stands. Runs in the supervisor.
import type { Service } from "../formats/kubernetes/index.ts";
import type { Store } from "../store/index.ts";
import type { Agent } from "./agents.ts";
import type { Daemon } from "./daemon.ts";
import { endpointsOf, syncServices } from "./endpoints.ts";
import { LabError } from "./errors.ts";
import type { LabInfo, LabProcesses, NodeInfo, ServiceInfo } from "./messages.ts";
import type { LabNode } from "./node.ts";
import type { RunningContainer } from "./runtime/container.ts";
import { podKey, type RunningPod } from "./runtime/pod.ts";
import type { StateDir } from "./state-dir.ts";
import { STORE_ENDPOINT, type StoreKind } from "./store-node.ts";
import { until } from "./wait.ts";

/** Longer than any pause before a restart, and an agent's start. A signal that ends nothing is told so. */
const BACK_WITHIN_MS = 60_000;

export interface ClusterParts {
  readonly dir: StateDir;
  readonly processes: LabProcesses;
  readonly rootless: boolean;
  readonly storeKind: StoreKind;
  readonly storeDaemon: Daemon;
  readonly store: Store;
  readonly nodes: readonly LabNode[];
  readonly agents: readonly Agent[];
  readonly pods: readonly RunningPod[];
  /** The echo server outside. */
  readonly client: RunningContainer;
  readonly services: readonly Service[];
}

/** Says each step when it begins and when it is done. */
export type Step = <T>(name: string, f: () => Promise<T> | T) => Promise<T>;

export class Cluster {
  readonly #parts: ClusterParts;
  readonly #since = new Date();
  #pods: readonly RunningPod[];
  #state: LabInfo["state"] = "running";

  constructor(parts: ClusterParts) {
    this.#parts = parts;
    this.#pods = parts.pods;
  }

  info(): LabInfo {
    const { dir, processes, rootless, storeKind, storeDaemon, services } = this.#parts;
    const pods = this.#pods.map((running) => running.withStatus);
    return {
      name: dir.name,
      state: this.#state,
      since: this.#since.toISOString(),
      processes,
      stateDir: dir.path,
      rootless,
      store: { ...storeDaemon.info(), kind: storeKind, endpoint: STORE_ENDPOINT, unix: `unix://${dir.storeSocket}` },
      nodes: this.#parts.nodes.map((node) => this.#nodeInfo(node)),
      pods: this.#pods.map((running) => running.info()),
      services: services.map((service) => serviceInfo(service, endpointsOf(service, pods))),
    };
  }

  #nodeInfo({ plan, anchor }: LabNode): NodeInfo {
    const agent = this.#parts.agents.find(({ node }) => node.plan === plan);
    const subnet = agent?.subnet();
    return {
      name: plan.name,
      role: plan.role,
      addresses: plan.interfaces.map(({ address }) => address.address),
      pid: anchor.pid,
      ...(subnet === undefined ? {} : { subnet }),
      ...(agent ? { agent: agent.daemon.info() } : {}),
    };
  }

  /** @param name `agent/node1` or `store`. Waits, if asked to, until it has been started again and is ready. */
  async kill(name: string, signal: NodeJS.Signals, wait: boolean): Promise<void> {
    const daemons = [...this.#parts.agents.map(({ daemon }) => daemon), this.#parts.storeDaemon];
    const daemon = daemons.find((candidate) => candidate.name === name);
    if (!daemon)
      throw new LabError(`kill ${name}`, {
        reason: "there is no such process",
        advice: `there are ${daemons.map((each) => each.name).join(", ")}`,
      });
    let isBack = false;
    const back = daemon.nextReady().then(() => {
      isBack = true;
    });
    daemon.kill(signal);
    if (!wait) return;
    await until({
      what: `see ${name} ready again after ${signal}`,
      deadlineMs: BACK_WITHIN_MS,
      isThere: () => isBack,
      subscribe: (onChange) => {
        void back.then(onChange);
        return { [Symbol.dispose]: () => {} };
      },
    });
  }

  async deletePod(key: string): Promise<void> {
    const running = this.#pods.find(({ pod }) => podKey(pod) === key);
    if (!running)
      throw new LabError(`delete pod ${key}`, {
        reason: "there is none",
        advice: `there are ${this.#pods.map(({ pod }) => podKey(pod)).join(", ")}`,
      });
    // First nobody is sent there any more, then it goes.
    this.#pods = this.#pods.filter((other) => other !== running);
    try {
      await syncServices(
        this.#parts.store,
        this.#parts.services,
        this.#pods.map(({ withStatus }) => withStatus),
      );
    } catch (error) {
      // The store does not answer: the pod stays as it was, to be tried again.
      this.#pods = [...this.#pods, running];
      throw error;
    }
    await running.end();
  }

  /** Ends everything in order. The namespaces would take all of it along anyway; this way each part sees its end. */
  async down(step: Step): Promise<void> {
    this.#state = "stopping";
    const { client, agents, store, storeDaemon } = this.#parts;
    await step("pods: CNI DEL", async () => {
      client.end();
      await Promise.allSettled(this.#pods.map((running) => running.end()));
    });
    await step("agents", () => Promise.all(agents.map(({ daemon }) => daemon.end())));
    await step("store", async () => {
      await store[Symbol.asyncDispose]();
      await storeDaemon.end();
    });
  }
}

function serviceInfo({ metadata, spec }: Service, endpoints: readonly string[]): ServiceInfo {
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    clusterIPs: spec.clusterIPs,
    ports: spec.ports.map(({ name, protocol, port, nodePort }) => ({
      name,
      protocol,
      port,
      ...(nodePort === undefined ? {} : { nodePort }),
    })),
    endpoints,
  };
}
