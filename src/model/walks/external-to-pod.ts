import { MADE_BY } from "./made-by.ts";
import { hop, type Walk } from "./walk.ts";

/** Scenario 5. */
export const externalToPod: Walk = {
  number: 5,
  name: "external-to-pod",
  title: "External application to pod, through the gateway",
  summary:
    "A client outside sends to a Service's address. The gateway node picks an endpoint, rewrites the destination (DNAT) and the source (masquerade), and forwards it as scenario 4 does. The reply comes back the same way and is rewritten back.",
  truth:
    "No process of the gateway sees the packet: it is nftables rules and connection tracking. Masquerade is what brings the reply back through the gateway; without it the pod would answer the client past it, from an address that the client never asked.",
  request: [
    hop(
      ["client", "eth0", "tx"],
      "app-send",
      [],
      MADE_BY.lab,
      "The Service's address is nobody's: the client's default route leads to the gateway.",
    ),
    hop(["gateway", "eth1", "rx"], "prerouting", [], MADE_BY.lab, "The gateway's outside interface receives it."),
    hop(
      ["gateway", "flannel.1", "tx"],
      "vxlan-encap",
      ["dnat", "snat", "ttl-1", "mac"],
      MADE_BY.gateway,
      "Prerouting finds the Service and picks an endpoint: destination rewritten, packet marked 0x4000. The route of the endpoint's subnet leads to flannel.1; postrouting masquerades what is marked, to flannel.1's address.",
    ),
    hop(
      ["gateway", "eth0", "tx"],
      "underlay-tx",
      ["vxlan-encap"],
      MADE_BY.peers,
      "Wrapped in UDP to the node that holds the pod's subnet.",
    ),
    hop(["fabric", "gateway-port", "rx"], "wire", [], MADE_BY.fabric, "The switch between the nodes."),
    hop(["fabric", "dst-port", "tx"], "wire", [], MADE_BY.fabric, "Out of the pod's node's port."),
    hop(["dst-node", "eth0", "rx"], "underlay-rx", [], MADE_BY.lab, "UDP port 8472 of the node."),
    hop(["dst-node", "flannel.1", "rx"], "vxlan-decap", ["vxlan-decap"], MADE_BY.vxlanDevice, "The carrier comes off."),
    hop(
      ["dst-node", "cni0", "tx"],
      "forward",
      ["ttl-1", "mac"],
      MADE_BY.masquerade,
      "Forwarded to the pod's subnet: source and destination are both of the pod network, so no masquerade.",
    ),
    hop(["dst-node", "dst-veth", "tx"], "veth-tx", [], MADE_BY.podLink, "The pod's port of the bridge."),
    hop(
      ["dst-pod", "eth0", "rx"],
      "deliver",
      [],
      MADE_BY.podAddress,
      "Delivered. The pod sees the gateway as its client.",
    ),
  ],
  reply: [
    hop(
      ["dst-pod", "eth0", "tx"],
      "app-send",
      [],
      MADE_BY.podLink,
      "The answer goes to the gateway's flannel.1 address, by the pod's default route.",
    ),
    hop(["dst-node", "dst-veth", "rx"], "bridge", [], MADE_BY.podLink, "The host end of the pod's veth pair."),
    hop(["dst-node", "cni0", "rx"], "route", [], MADE_BY.bridge, "Passed up to the node's IP layer."),
    hop(
      ["dst-node", "flannel.1", "tx"],
      "vxlan-encap",
      ["ttl-1", "mac"],
      MADE_BY.peers,
      "The gateway's subnet is a peer's like any other.",
    ),
    hop(
      ["dst-node", "eth0", "tx"],
      "underlay-tx",
      ["vxlan-encap"],
      MADE_BY.vxlanDevice,
      "Wrapped, to the gateway node.",
    ),
    hop(["fabric", "dst-port", "rx"], "wire", [], MADE_BY.fabric, "The switch between the nodes."),
    hop(["fabric", "gateway-port", "tx"], "wire", [], MADE_BY.fabric, "Out of the gateway's port."),
    hop(["gateway", "eth0", "rx"], "underlay-rx", [], MADE_BY.lab, "UDP port 8472 of the gateway node."),
    hop(["gateway", "flannel.1", "rx"], "vxlan-decap", ["vxlan-decap"], MADE_BY.vxlanDevice, "The carrier comes off."),
    hop(
      ["gateway", "eth1", "tx"],
      "postrouting",
      ["un-dnat", "un-snat", "ttl-1", "mac"],
      MADE_BY.gateway,
      "Connection tracking knows the reply: its source becomes the Service's address again, its destination the client's.",
    ),
    hop(["client", "eth0", "rx"], "deliver", [], MADE_BY.lab, "Delivered, from the address that was asked."),
  ],
};
