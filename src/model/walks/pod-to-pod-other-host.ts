import { MADE_BY } from "./made-by.ts";
import { type DeviceRole, hop, type Place, type Walk } from "./walk.ts";

type End = readonly [pod: Place, node: Place, veth: DeviceRole, port: DeviceRole];

const leg = ([fromPod, fromNode, fromVeth, fromPort]: End, [toPod, toNode, toVeth, toPort]: End): Walk["request"] => [
  hop(
    [fromPod, "eth0", "tx"],
    "app-send",
    [],
    MADE_BY.podLink,
    "The other pod is in another subnet: the pod's route leads to its gateway, cni0's address.",
  ),
  hop(
    [fromNode, fromVeth, "rx"],
    "bridge",
    [],
    MADE_BY.podLink,
    "The host end of the pod's veth pair receives it; it is a port of cni0.",
  ),
  hop(
    [fromNode, "cni0", "rx"],
    "route",
    [],
    MADE_BY.bridge,
    "The MAC is the bridge's own: the frame is passed up to the node's IP layer, which looks up a route.",
  ),
  hop(
    [fromNode, "flannel.1", "tx"],
    "vxlan-encap",
    ["ttl-1", "mac"],
    MADE_BY.peers,
    "The route of the peer's subnet leads to flannel.1; the neighbour entry gives the peer's VtepMAC. One router passed: TTL minus one.",
  ),
  hop(
    [fromNode, "eth0", "tx"],
    "underlay-tx",
    ["vxlan-encap"],
    MADE_BY.vxlanDevice,
    "The FDB entry says at which node that MAC lives. The frame leaves inside UDP to port 8472 of that node, VNI 1.",
  ),
  hop(["fabric", fromPort, "rx"], "wire", [], MADE_BY.fabric, "The switch between the nodes receives it."),
  hop(
    ["fabric", toPort, "tx"],
    "wire",
    [],
    MADE_BY.fabric,
    "It sends the frame out of the port of the node it is for.",
  ),
  hop(
    [toNode, "eth0", "rx"],
    "underlay-rx",
    [],
    MADE_BY.lab,
    "The node's own address, UDP port 8472: that socket belongs to flannel.1.",
  ),
  hop(
    [toNode, "flannel.1", "rx"],
    "vxlan-decap",
    ["vxlan-decap"],
    MADE_BY.vxlanDevice,
    "VNI 1 is this device's: the carrier comes off, and the inner frame is received as if a cable had brought it.",
  ),
  hop(
    [toNode, "cni0", "tx"],
    "forward",
    ["ttl-1", "mac"],
    MADE_BY.masquerade,
    "The route is cni0's connected one; the forward rule accepts pod traffic, and no masquerade applies. TTL minus one, the pod's MAC by ARP.",
  ),
  hop([toNode, toVeth, "tx"], "veth-tx", [], MADE_BY.podLink, "The bridge sends it out of the pod's port."),
  hop(
    [toPod, "eth0", "rx"],
    "deliver",
    [],
    MADE_BY.podAddress,
    "The packet is delivered, with the source address that the other pod sees as its own.",
  ),
];

const source: End = ["src-pod", "src-node", "src-veth", "src-port"];
const destination: End = ["dst-pod", "dst-node", "dst-veth", "dst-port"];

/** Scenario 4, with the vxlan backend. */
export const podToPodOtherHost: Walk = {
  number: 4,
  name: "pod-to-pod-other-host",
  title: "Pod to pod, other host (VXLAN)",
  summary:
    "The node routes the packet into flannel.1, which wraps the frame in UDP and sends it to the node that holds the other pod's subnet. There the wrapping comes off. No address of the inner packet changes.",
  truth:
    "Often drawn as a daemon that intercepts packets. With VXLAN the daemon touches none: it wrote a route, a neighbour and an FDB entry per peer, and the kernel does the rest. (Only the udp backend carries packets itself.)",
  request: leg(source, destination),
  reply: leg(destination, source),
};
