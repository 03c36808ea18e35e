import { MADE_BY } from "./made-by.ts";
import { hop, type Walk } from "./walk.ts";

/** Scenario 6. */
export const podToExternal: Walk = {
  number: 6,
  name: "pod-to-external",
  title: "Pod to external application",
  summary:
    "What leaves the pod network is masqueraded twice: to the node's address at the node, because nobody outside knows pod addresses, and to the gateway's outside address at the gateway. The reply is rewritten back in reverse order.",
  truth:
    "flannel.1 has no part in it: the destination is in no peer's subnet, so the packet leaves by the node's own interface, not wrapped.",
  request: [
    hop(["src-pod", "eth0", "tx"], "app-send", [], MADE_BY.podLink, "The pod's default route leads to cni0."),
    hop(["src-node", "src-veth", "rx"], "bridge", [], MADE_BY.podLink, "The host end of the pod's veth pair."),
    hop(
      ["src-node", "cni0", "rx"],
      "route",
      [],
      MADE_BY.bridge,
      "Passed up to the node's IP layer: the node's default route leads to the gateway.",
    ),
    hop(
      ["src-node", "eth0", "tx"],
      "underlay-tx",
      ["snat", "ttl-1", "mac"],
      MADE_BY.masquerade,
      "Forward accepts the pod network; postrouting masquerades what leaves it, to the node's address.",
    ),
    hop(["fabric", "src-port", "rx"], "wire", [], MADE_BY.fabric, "The switch between the nodes."),
    hop(["fabric", "gateway-port", "tx"], "wire", [], MADE_BY.fabric, "Out of the gateway's port."),
    hop(["gateway", "eth0", "rx"], "underlay-rx", [], MADE_BY.lab, "The gateway node is the nodes' router."),
    hop(
      ["gateway", "eth1", "tx"],
      "postrouting",
      ["snat", "ttl-1", "mac"],
      MADE_BY.gateway,
      "What leaves by the outside interface is masqueraded to its address.",
    ),
    hop(["client", "eth0", "rx"], "deliver", [], MADE_BY.lab, "Delivered. The outside sees the gateway."),
  ],
  reply: [
    hop(["client", "eth0", "tx"], "app-send", [], MADE_BY.lab, "The answer goes to the gateway's outside address."),
    hop(["gateway", "eth1", "rx"], "prerouting", [], MADE_BY.lab, "The gateway's outside interface receives it."),
    hop(
      ["gateway", "eth0", "tx"],
      "underlay-tx",
      ["un-snat", "ttl-1", "mac"],
      MADE_BY.gateway,
      "Connection tracking knows the reply: its destination becomes the node's address again.",
    ),
    hop(["fabric", "gateway-port", "rx"], "wire", [], MADE_BY.fabric, "The switch between the nodes."),
    hop(["fabric", "src-port", "tx"], "wire", [], MADE_BY.fabric, "Out of the node's port."),
    hop(["src-node", "eth0", "rx"], "underlay-rx", [], MADE_BY.lab, "The node's own address."),
    hop(
      ["src-node", "cni0", "tx"],
      "forward",
      ["un-snat", "ttl-1", "mac"],
      MADE_BY.masquerade,
      "Here too: the destination becomes the pod's address again, which is routed to cni0.",
    ),
    hop(["src-node", "src-veth", "tx"], "veth-tx", [], MADE_BY.podLink, "The pod's port of the bridge."),
    hop(["src-pod", "eth0", "rx"], "deliver", [], MADE_BY.podAddress, "Delivered, from the address that was asked."),
  ],
};
