import { MADE_BY } from "./made-by.ts";
import { type DeviceRole, hop, type Place, type Walk } from "./walk.ts";

const leg = (
  [fromPod, fromVeth]: readonly [Place, DeviceRole],
  [toPod, toVeth]: readonly [Place, DeviceRole],
): Walk["request"] => [
  hop(
    [fromPod, "eth0", "tx"],
    "app-send",
    [],
    MADE_BY.podLink,
    "The other pod is in the same subnet: ARP asks for its MAC, and the frame goes straight to that.",
  ),
  hop(
    ["src-node", fromVeth, "rx"],
    "bridge",
    [],
    MADE_BY.podLink,
    "The host end of the pod's veth pair receives it. It is a port of cni0, so the bridge takes it.",
  ),
  hop(
    ["src-node", toVeth, "tx"],
    "veth-tx",
    [],
    MADE_BY.bridge,
    "cni0 knows by its forwarding database (which it learns) behind which port the MAC lives, and sends the frame out there.",
  ),
  hop(
    [toPod, "eth0", "rx"],
    "deliver",
    [],
    MADE_BY.podAddress,
    "The other end of that pair is the pod's eth0. The address is its own: the packet is delivered.",
  ),
];

/** Scenario 2. */
export const podToPodSameHost: Walk = {
  number: 2,
  name: "pod-to-pod-same-host",
  title: "Pod to pod, same host",
  summary: "Two pods of a node are neighbours on the bridge cni0. The frame is switched by MAC; nothing in it changes.",
  truth:
    "cni0 is the switch, not a hop: no route is looked up and no TTL is spent, and a capture on cni0 itself shows nothing. Each veth pair is two devices, one on either side; it is often drawn twice.",
  request: leg(["src-pod", "src-veth"], ["dst-pod", "dst-veth"]),
  reply: leg(["dst-pod", "dst-veth"], ["src-pod", "src-veth"]),
};
