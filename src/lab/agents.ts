// `podpath agent` on each node that has one, and what it says when it is ready.
import { join } from "node:path";
import { formatPrefix } from "../formats/netip/index.ts";
import { Daemon } from "./daemon.ts";
import { LabError } from "./errors.ts";
import { lastLine } from "./logs.ts";
import type { LabNode } from "./node.ts";
import type { LabPrograms } from "./programs.ts";
import type { StateDir } from "./state-dir.ts";
import { STORE_ENDPOINT } from "./store-node.ts";
import { SERVICE_CIDR, STORE_PREFIX } from "./topology.ts";

/** In the node's own /run. */
export const CNI_SOCKET = "/run/podpath/cni.sock";

export interface Agent {
  readonly node: LabNode;
  readonly daemon: Daemon;
  /** The subnet it has, once it said so. */
  readonly subnet: () => string | undefined;
  /** Resolves when the agent is ready for the first time; rejects when it ends before. */
  readonly ready: Promise<void>;
}

export function startAgent(
  node: LabNode,
  dir: StateDir,
  { podpath }: LabPrograms,
  env: Readonly<Record<string, string>> = {},
): Agent {
  const { plan, anchor } = node;
  const logFile = join(dir.logs, `agent-${plan.name}.log`);
  let subnet: string | undefined;
  let reject = (_error: Error): void => {};
  const daemon = new Daemon({
    name: `agent/${plan.name}`,
    nodePid: anchor.pid,
    env,
    argv: [
      ...[...podpath, "agent", "--etcd-endpoints", STORE_ENDPOINT, "--etcd-prefix", STORE_PREFIX],
      ...["--iface", "eth0", "--ip-masq", "--node-name", plan.name, "--service-cidr", formatPrefix(SERVICE_CIDR)],
      ...(plan.role === "gateway" ? ["--gateway-egress", "eth1"] : ["--cni-socket", CNI_SOCKET]),
    ],
    logFile,
    isReadyLine: (line) => {
      const said = readySubnet(line);
      subnet = said ?? subnet;
      return said !== undefined;
    },
    onExit: (how) => reject(new LabError(`start the agent of ${plan.name}`, { reason: lastLine(logFile) ?? how })),
  });
  const ended = new Promise<never>((_resolve, onEnd) => {
    reject = onEnd;
  });
  const ready = Promise.race([daemon.nextReady(), ended]);
  // Whoever waits hears of it; when nobody does any more, an agent's end is not this promise's business.
  ready.catch(() => {});
  return { node, daemon, ready, subnet: () => subnet };
}

/** The subnet in the agent's one line on stdout: `{"ready":true,"subnet":"10.244.1.0/24",…}`. */
function readySubnet(line: string): string | undefined {
  try {
    const report: unknown = JSON.parse(line);
    if (typeof report === "object" && report !== null && "ready" in report && "subnet" in report)
      return typeof report.subnet === "string" ? report.subnet : undefined;
  } catch {
    // Not the line we wait for.
  }
  return undefined;
}
