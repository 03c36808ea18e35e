import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerInfo, LabInfo, NodeInfo, PodInfo } from "../messages.ts";
import { planScenario } from "./plan.ts";

const container = (name: string, pid: number, port = 8080): ContainerInfo => ({
  ...{ name, pid, state: "running", isEcho: true },
  ports: [{ port, protocol: "TCP" }],
});

const pod = (name: string, node: string, ip: string, containers: ContainerInfo[]): PodInfo => ({
  ...{ namespace: "default", name, node, ips: [ip], netns: "", pid: 1, hostVeth: `veth-${name}`, containers },
});

const node = (name: string, role: NodeInfo["role"], ...addresses: string[]): NodeInfo => ({
  name,
  role,
  addresses,
  pid: 7,
});

const A = pod("pod-a", "node1", "10.244.1.2", [container("c0", 21), container("c1", 22, 8081)]);
const B = pod("pod-b", "node1", "10.244.1.3", [container("c0", 23)]);
const C = pod("pod-c", "node2", "10.244.2.2", [container("c0", 24)]);
const id = { pid: 1, startTime: "1" };

const lab = (pods: PodInfo[]): LabInfo => ({
  ...{ name: "lab", state: "running", since: "", stateDir: "", rootless: false, pods },
  processes: { unshare: id, init: id, supervisor: id },
  store: { ...{ name: "store", state: "running", restarts: 0 }, kind: "embedded", endpoint: "", unix: "" },
  nodes: [
    node("gateway", "gateway", "192.168.100.1", "203.0.113.1"),
    node("node1", "node", "192.168.100.11"),
    node("node2", "node", "192.168.100.12"),
    node("client", "client", "203.0.113.10"),
  ],
  services: [
    {
      ...{
        namespace: "default",
        name: "web",
        clusterIPs: ["10.96.0.10"],
        endpoints: ["10.244.1.2:8080", "10.244.2.2:8080"],
      },
      ports: [
        { name: "tcp", protocol: "TCP", port: 80, nodePort: 30080 },
        { name: "udp", protocol: "UDP", port: 80, nodePort: 30081 },
      ],
    },
  ],
});

function probe(number: number, protocol: "tcp" | "udp" | "icmp", pods: PodInfo[]): string {
  const plan = planScenario(number, protocol, lab(pods));
  return typeof plan === "string"
    ? plan
    : `${plan.probe.from} ${plan.probe.pid} -> ${plan.probe.host} ${plan.probe.port}`;
}

test("planScenario finds the probe's ends", () => {
  const pods = [A, B, C];
  assert.equal(probe(1, "tcp", pods), "pod-a/c0 21 -> 127.0.0.1 8081");
  assert.equal(probe(2, "tcp", pods), "pod-a/c0 21 -> 10.244.1.3 8080");
  assert.equal(probe(3, "tcp", pods), "node1 7 -> 10.244.1.2 8080");
  assert.equal(probe(4, "tcp", pods), "pod-a/c0 21 -> 10.244.2.2 8080");
  assert.equal(probe(5, "tcp", pods), "client 7 -> 203.0.113.1 30080");
  assert.equal(probe(5, "udp", pods), "client 7 -> 203.0.113.1 30081");
  assert.equal(probe(5, "icmp", pods), "client 7 -> 10.96.0.10 0");
  assert.equal(probe(6, "tcp", pods), "pod-a/c0 21 -> 203.0.113.10 8080");
});

test("planScenario says what is missing when the lab cannot play it", () => {
  assert.match(probe(1, "tcp", [B, C]), /two echo containers/);
  assert.match(probe(2, "tcp", [A, C]), /two pods on one node/);
  assert.match(probe(4, "tcp", [A, B]), /pods on two nodes/);
  assert.match(probe(5, "tcp", [B]), /a Service with a NodePort for TCP/);
  assert.match(probe(6, "tcp", []), /a pod/);
});

test("planScenario does not probe a container that answers nothing of ours", () => {
  const foreign = { ...B, containers: [{ ...container("c0", 23), isEcho: false }] };
  assert.match(probe(2, "tcp", [A, foreign]), /two pods on one node/);
});

test("planScenario: the cast of a Service is whoever answered", () => {
  const plan = planScenario(5, "tcp", lab([A, B, C]));
  assert.ok(typeof plan !== "string");
  const { places, devices } = plan.cast("pod-c");
  assert.deepEqual([places["dst-node"], places["dst-pod"], places.client], ["node2", "pod-c", "client"]);
  assert.deepEqual(
    [devices["dst-veth"], devices["dst-port"], devices["gateway-port"]],
    ["veth-pod-c", "p-node2", "p-gateway"],
  );
});
