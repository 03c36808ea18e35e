// A node of the lab: namespaces of its own, with its own /run, CNI folders and host name. A file system of its own it has not:
// programs and their libraries are the machine's.
import { type Mount, mountScript } from "../kernel/index.ts";
import { type Anchor, startAnchor } from "./anchor.ts";
import type { StateDir } from "./state-dir.ts";
import { nodeSysctls, sysctlScript } from "./sysctls.ts";
import type { NodePlan } from "./topology.ts";

export interface LabNode {
  readonly plan: NodePlan;
  readonly anchor: Anchor;
}

export const CNI_BIN = "/opt/cni/bin";
export const CNI_CONF = "/etc/cni/net.d";

/** Makes the node's namespaces; its devices come with the fabric. */
export async function startNode(plan: NodePlan, dir: StateDir): Promise<LabNode> {
  const isStore = plan.role === "store";
  const mounts: (Mount & { optional?: boolean })[] = [
    // The store's socket is in the state folder, where the machine can reach it.
    { kind: "tmpfs", target: "/run", ...(isStore && dir.path.startsWith("/run/") ? { keep: dir.path } : {}) },
    ...["/var/lib/cni", CNI_CONF, CNI_BIN].map((target): Mount => ({ kind: "tmpfs", target })),
    { kind: "sysfs", target: "/sys", optional: true },
  ];
  const script = [`hostname ${plan.name}`, mountScript(mounts), sysctlScript(nodeSysctls(plan.role))].join("\n");
  return { plan, anchor: await startAnchor(plan.name, script, { mount: true }) };
}
