import { MADE_BY } from "./made-by.ts";
import { hop, type Walk } from "./walk.ts";

/** Scenario 3. */
export const hostToPod: Walk = {
  number: 3,
  name: "host-to-pod",
  title: "Host to pod, same host",
  summary:
    "A process of the node itself talks to a pod of that node: the connected route of cni0 leads straight there.",
  truth:
    "Often drawn through flannel.1. That device is only for other nodes' subnets; the pod's subnet is connected to cni0, whose address is also the source.",
  request: [
    hop(
      ["dst-node", "cni0", "tx"],
      "app-send",
      [],
      MADE_BY.bridge,
      "The route to the pod's subnet is the connected one of cni0; ARP on cni0 finds the pod's MAC.",
    ),
    hop(
      ["dst-node", "dst-veth", "tx"],
      "veth-tx",
      [],
      MADE_BY.podLink,
      "The bridge sends the frame out of the port behind which that MAC lives.",
    ),
    hop(
      ["dst-pod", "eth0", "rx"],
      "deliver",
      [],
      MADE_BY.podAddress,
      "The pod's eth0 receives it and the packet is delivered.",
    ),
  ],
  reply: [
    hop(
      ["dst-pod", "eth0", "tx"],
      "app-send",
      [],
      MADE_BY.podLink,
      "The asker's address is cni0's, in the pod's own subnet: the frame goes to cni0's MAC.",
    ),
    hop(
      ["dst-node", "dst-veth", "rx"],
      "bridge",
      [],
      MADE_BY.podLink,
      "The host end of the pod's veth pair receives it and hands it to the bridge.",
    ),
    hop(
      ["dst-node", "cni0", "rx"],
      "deliver",
      [],
      MADE_BY.bridge,
      "The MAC is the bridge's own, so the bridge passes the frame up; the address is the node's own, so it is delivered.",
    ),
  ],
};
