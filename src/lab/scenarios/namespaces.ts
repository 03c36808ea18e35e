// Every network namespace of the lab, as the observer wants them. Runs inside the lab.
import { NetNs } from "../../kernel/index.ts";
import type { ObservedNamespace } from "../../trace/index.ts";
import type { LabInfo } from "../messages.ts";
import { FABRIC, fabricPort } from "../topology.ts";

type Peers = Record<string, { namespace: string; device: string }>;

export function observedNamespaces(info: LabInfo): ObservedNamespace[] {
  const peers = peersOf(info);
  return [
    { node: FABRIC, name: FABRIC, ns: NetNs.self(), peers: peers.get(FABRIC) ?? {} },
    ...info.nodes.map(({ name, pid }) => ({ node: name, name, ns: NetNs.ofPid(pid), peers: peers.get(name) ?? {} })),
    ...info.pods.map(({ name, node, pid }) => ({ node, name, ns: NetNs.ofPid(pid), peers: peers.get(name) ?? {} })),
  ];
}

/** Both ends of every cable. */
function peersOf(info: LabInfo): Map<string, Peers> {
  const all = new Map<string, Peers>();
  const plug = (namespace: string, device: string, other: string, otherDevice: string): void => {
    all.set(namespace, { ...all.get(namespace), [device]: { namespace: other, device: otherDevice } });
  };
  const join = (one: string, device: string, other: string, otherDevice: string): void => {
    plug(one, device, other, otherDevice);
    plug(other, otherDevice, one, device);
  };
  for (const { name, role } of info.nodes) if (role !== "client") join(name, "eth0", FABRIC, fabricPort(name));
  join("client", "eth0", "gateway", "eth1");
  for (const { name, node, hostVeth } of info.pods) if (hostVeth) join(name, "eth0", node, hostVeth);
  return all;
}
