// Command lines that run a program somewhere in the lab, from the machine: first into the lab, where its PIDs are what we
// know them by, then into the node, pod or container.
import { enterArgv, type NamespaceKind } from "../kernel/index.ts";
import { LabError } from "./errors.ts";
import type { LabInfo, PodInfo } from "./messages.ts";

export interface ExecTarget {
  /** `pod-a/c0`, `node1`. */
  readonly name: string;
  /** As the lab counts. */
  readonly pid: number;
  readonly kinds: readonly NamespaceKind[];
}

const NODE_KINDS = ["mount", "net", "uts", "ipc"] as const;

/** `pod-a`, `pod/pod-a`, `pod/a`, `node1`, `gateway`, `client`, `store`, or `lab` for the fabric. @throws {LabError} */
export function execTarget(info: LabInfo, name: string, container?: string): ExecTarget {
  if (name === "lab") return { name, pid: 1, kinds: NODE_KINDS };
  const node = info.nodes.find((candidate) => candidate.name === name);
  if (node) return { name, pid: node.pid, kinds: NODE_KINDS };
  const pod = findPod(info, name);
  if (!pod)
    throw new LabError(`find ${name}`, {
      reason: "there is neither a pod nor a node of that name",
      advice: `there are ${[...info.pods, ...info.nodes].map((each) => each.name).join(", ")}`,
    });
  const names = pod.containers.map((each) => each.name).join(", ");
  const found = container === undefined ? pod.containers[0] : pod.containers.find((each) => each.name === container);
  if (!found)
    throw new LabError(`find container ${container} of pod ${pod.name}`, {
      reason: "there is none",
      advice: `there are ${names}`,
    });
  if (found.pid === undefined)
    throw new LabError(`enter container ${found.name} of pod ${pod.name}`, { reason: "it has ended" });
  return { name: `${pod.name}/${found.name}`, pid: found.pid, kinds: [...NODE_KINDS, "pid"] };
}

export function findPod(info: LabInfo, name: string): PodInfo | undefined {
  const bare = name.replace(/^pod\//, "");
  return info.pods.find((pod) =>
    [pod.name, `${pod.namespace}/${pod.name}`, pod.name.replace(/^pod-/, "")].includes(bare),
  );
}

/** Runs `argv` at the target; call it from outside the lab. */
export function execArgv(info: LabInfo, target: ExecTarget, argv: readonly string[]): string[] {
  return labArgv(info, enterArgv(target.pid, target.kinds, argv));
}

/** Runs `argv` in the lab's own namespaces (the fabric's). */
export function labArgv(info: LabInfo, argv: readonly string[]): string[] {
  const kinds: NamespaceKind[] = info.rootless ? ["user", ...NODE_KINDS, "pid"] : [...NODE_KINDS, "pid"];
  return enterArgv(info.processes.init.pid, kinds, argv);
}
