// A pod, as a container runtime makes it: sandbox, network by CNI, containers; and the same backwards.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import type { Result } from "../../formats/cni/index.ts";
import type { Pod } from "../../formats/kubernetes/index.ts";
import type { IpAddress } from "../../formats/netip/index.ts";
import { enterArgv, mountScript } from "../../kernel/index.ts";
import { type Anchor, startAnchor } from "../anchor.ts";
import { LabError, reasonOf } from "../errors.ts";
import type { PodInfo } from "../messages.ts";
import type { LabNode } from "../node.ts";
import { childEnvironment } from "../programs.ts";
import { POD_SYSCTLS, sysctlScript } from "../sysctls.ts";
import { RunningContainer } from "./container.ts";
import { addNetwork, checkNetwork, deleteNetwork, type PodNetwork, podNetworks } from "./network.ts";

export interface RuntimeOptions {
  readonly logs: string;
  readonly echoCommand: readonly string[];
  readonly programFolder: string;
}

export class RunningPod {
  readonly pod: Pod;
  readonly node: LabNode;
  readonly sandbox: Anchor;
  readonly netns: string;
  readonly #networks: readonly PodNetwork[];
  #result: Result | undefined;
  #containers: readonly RunningContainer[] = [];

  private constructor(pod: Pod, node: LabNode, sandbox: Anchor, netns: string, networks: readonly PodNetwork[]) {
    this.pod = pod;
    this.node = node;
    this.sandbox = sandbox;
    this.netns = netns;
    this.#networks = networks;
  }

  get key(): string {
    return podKey(this.pod);
  }

  /** @throws {LabError} and then the pod is gone again */
  static async start(pod: Pod, node: LabNode, options: RuntimeOptions): Promise<RunningPod> {
    const containerId = randomBytes(32).toString("hex");
    const netns = `/run/netns/cni-${containerId.slice(0, 12)}`;
    const script = [
      `hostname ${pod.metadata.name}`,
      mountScript([{ kind: "namespace", source: "/proc/self/ns/net", target: netns }]),
      sysctlScript(POD_SYSCTLS),
    ].join("\n");
    const sandbox = await startAnchor(pod.metadata.name, script, {
      mount: false,
      // In the node's own mount namespace, so that the node's plugins find the name.
      enter: (argv) => enterArgv(node.anchor.pid, ["mount", "net", "uts", "ipc"], argv),
    });
    const networks = podNetworks(node.anchor, { containerId, netns, args: cniArgs(pod, containerId) });
    const running = new RunningPod(pod, node, sandbox, netns, networks);
    try {
      await running.#attach();
      await running.#startContainers(options);
      return running;
    } catch (error) {
      await running.end().catch(() => {});
      throw new LabError(`run pod ${running.key} on ${node.plan.name}`, { reason: reasonOf(error), cause: error });
    }
  }

  /** The pod with the status that a kubelet would report. */
  get withStatus(): Pod {
    return { ...this.pod, status: { podIPs: this.ips.map((ip) => ({ ip })) } };
  }

  get ips(): IpAddress[] {
    return (this.#result?.ips ?? []).map(({ address }) => address.address);
  }

  info(): PodInfo {
    const hostVeth = this.#result?.interfaces.find(({ name, sandbox }) => !sandbox && name.startsWith("veth"))?.name;
    return {
      namespace: this.pod.metadata.namespace,
      name: this.pod.metadata.name,
      node: this.node.plan.name,
      ips: this.ips,
      netns: this.netns,
      pid: this.sandbox.pid,
      ...(hostVeth === undefined ? {} : { hostVeth }),
      containers: this.#containers.map((container) => container.info()),
    };
  }

  /** CHECK: whether the network is still as ADD made it. */
  async check(): Promise<void> {
    for (const network of this.#networks) await checkNetwork(this.node.anchor, network);
  }

  /** Containers first, then DEL in reverse order, then the sandbox. */
  async end(): Promise<void> {
    for (const container of this.#containers) container.end();
    try {
      for (const network of [...this.#networks].reverse()) await deleteNetwork(this.node.anchor, network);
    } finally {
      this.sandbox.end();
      await run(enterArgv(this.node.anchor.pid, ["mount"], ["sh", "-c", 'umount "$1" && rm "$1"', "sh", this.netns]));
    }
  }

  async #attach(): Promise<void> {
    for (const network of this.#networks) this.#result = await addNetwork(this.node.anchor, network);
  }

  async #startContainers(options: RuntimeOptions): Promise<void> {
    const { name, namespace } = this.pod.metadata;
    this.#containers = await Promise.all(
      this.pod.spec.containers.map((container) =>
        RunningContainer.start({
          container,
          podPid: this.sandbox.pid,
          podName: name,
          logFile: join(options.logs, `${namespace}_${name}_${container.name}.log`),
          defaultCommand: options.echoCommand,
          programFolder: options.programFolder,
        }),
      ),
    );
  }
}

export function podKey({ metadata }: Pod): string {
  return metadata.namespace === "default" ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

async function run(argv: readonly string[]): Promise<void> {
  const [program = "", ...args] = argv;
  const child = spawn(program, args, { cwd: "/", env: childEnvironment(), stdio: "ignore" });
  await once(child, "exit");
}

/** What containerd tells plugins of a pod. */
function cniArgs({ metadata }: Pod, containerId: string): string {
  return [
    "IgnoreUnknown=1",
    `K8S_POD_NAMESPACE=${metadata.namespace}`,
    `K8S_POD_NAME=${metadata.name}`,
    `K8S_POD_INFRA_CONTAINER_ID=${containerId}`,
  ].join(";");
}
