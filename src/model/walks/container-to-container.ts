import { MADE_BY } from "./made-by.ts";
import { hop, type Walk } from "./walk.ts";

const leg = (sender: string, receiver: string): Walk["request"] => [
  hop(
    ["src-pod", "lo", "tx"],
    "loopback",
    [],
    MADE_BY.lo,
    `${sender} sends to an address of its own namespace: the route is local, the device lo.`,
  ),
  hop(
    ["src-pod", "lo", "rx"],
    "loopback",
    [],
    MADE_BY.lo,
    `lo gives the packet back to the same network stack, which delivers it to ${receiver}'s socket.`,
  ),
];

/** Scenario 1. */
export const containerToContainer: Walk = {
  number: 1,
  name: "container-to-container",
  title: "Container to container, same pod",
  summary: "The containers of a pod share one network namespace. What one sends to the other never leaves it.",
  truth:
    "Often drawn as a way out through a veth and back. There is no veth in it: no other device, no bridge and no rule outside the namespace ever sees the packet.",
  request: leg("Container c0", "container c1"),
  reply: leg("Container c1", "container c0"),
};
