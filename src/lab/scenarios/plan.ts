// The six scenarios in this lab: from the pods that run, where each probe starts, whom it asks, and the walk's cast. Pure.
import type { Cast, ProbeProtocol } from "../../model/index.ts";
import type { ContainerInfo, LabInfo, NodeInfo, PodInfo, ServiceInfo } from "../messages.ts";
import { castOf } from "./cast.ts";

/** Where a probe starts and whom it asks. */
export interface ProbePlan {
  /** `pod-a/c0`, `node1`, `client`. */
  readonly from: string;
  /** The process whose namespaces the probe runs in. */
  readonly pid: number;
  /** Whether those include a PID namespace. */
  readonly isContainer: boolean;
  readonly host: string;
  readonly port: number;
}

export interface ScenarioPlan {
  readonly probe: ProbePlan;
  /** By the pod that answered, which only the observation tells when a Service has several endpoints. */
  readonly cast: (answeredBy: string | undefined) => Cast;
}

/** @returns a plan, or why this lab cannot play the scenario */
export function planScenario(number: number, protocol: ProbeProtocol, info: LabInfo): ScenarioPlan | string {
  const pods = info.pods.filter(({ containers }) => containers.some(isUsable));
  switch (number) {
    case 1:
      return samePod(pods);
    case 2:
      return podToPod(info, pods, (one, other) => one.node === other.node, "it needs two pods on one node");
    case 3:
      return fromHost(pods, info);
    case 4:
      return podToPod(info, pods, (one, other) => one.node !== other.node, "it needs pods on two nodes");
    case 5:
      return fromOutside(pods, info, protocol);
    case 6:
      return toOutside(pods, info);
    default:
      return `there is no scenario ${number}`;
  }
}

/** It runs, and it answers. */
function isUsable(container: ContainerInfo): boolean {
  return container.isEcho && container.pid !== undefined;
}

function echoOf(pod: PodInfo): ContainerInfo | undefined {
  return pod.containers.find(isUsable);
}

function samePod(pods: readonly PodInfo[]): ScenarioPlan | string {
  for (const pod of pods) {
    const [one, other] = pod.containers.filter(isUsable);
    if (!one || !other) continue;
    const cast: Cast = { places: { "src-pod": pod.name, "dst-pod": pod.name }, devices: {} };
    return { probe: probeFrom(pod, one, "127.0.0.1", portOf(other)), cast: () => cast };
  }
  return "it needs a pod with two echo containers";
}

function podToPod(
  info: LabInfo,
  pods: readonly PodInfo[],
  fits: (one: PodInfo, other: PodInfo) => boolean,
  otherwise: string,
): ScenarioPlan | string {
  for (const source of pods)
    for (const target of pods)
      if (source !== target && fits(source, target))
        return {
          probe: probeFrom(source, echoOf(source), target.ips[0] ?? "", portOf(echoOf(target))),
          cast: () => castOf(info, { source, target }),
        };
  return otherwise;
}

function fromHost([target]: readonly PodInfo[], info: LabInfo): ScenarioPlan | string {
  const node = info.nodes.find(({ name }) => name === target?.node);
  if (!target || !node) return "it needs a pod";
  return {
    probe: probeAt(node, target.ips[0] ?? "", portOf(echoOf(target))),
    cast: () => castOf(info, { sourceNode: node.name, target }),
  };
}

function fromOutside(pods: readonly PodInfo[], info: LabInfo, protocol: ProbeProtocol): ScenarioPlan | string {
  const client = info.nodes.find(({ role }) => role === "client");
  const gateway = info.nodes.find(({ role }) => role === "gateway");
  const wanted = protocol === "udp" ? "UDP" : "TCP";
  const found = info.services
    .filter((service) => hasEndpoint(service, pods))
    .flatMap((service) => service.ports.map((port) => ({ service, port })))
    .find(({ port }) => port.protocol === wanted && port.nodePort !== undefined);
  if (!client || !gateway || !found)
    return `it needs a Service with a NodePort for ${wanted} and an echo container behind it`;
  const nodePort = probeAt(client, gateway.addresses[1] ?? "", found.port.nodePort ?? 0);
  // ICMP has no ports: it asks for the Service by its own address.
  const clusterIp = probeAt(client, found.service.clusterIPs[0] ?? "", 0);
  return {
    probe: protocol === "icmp" ? clusterIp : nodePort,
    cast: (answeredBy) => castOf(info, { target: pods.find(({ name }) => name === answeredBy) }),
  };
}

function hasEndpoint({ endpoints }: ServiceInfo, pods: readonly PodInfo[]): boolean {
  return pods.some(({ ips }) => endpoints.some((endpoint) => ips.some((ip) => endpoint.startsWith(`${ip}:`))));
}

function toOutside([source]: readonly PodInfo[], info: LabInfo): ScenarioPlan | string {
  const client = info.nodes.find(({ role }) => role === "client");
  if (!source || !client) return "it needs a pod";
  return {
    probe: probeFrom(source, echoOf(source), client.addresses[0] ?? "", 8080),
    cast: () => castOf(info, { source }),
  };
}

function portOf(container: ContainerInfo | undefined): number {
  return container?.ports[0]?.port ?? 8080;
}

function probeFrom(pod: PodInfo, container: ContainerInfo | undefined, host: string, port: number): ProbePlan {
  return { from: `${pod.name}/${container?.name}`, pid: container?.pid ?? pod.pid, isContainer: true, host, port };
}

function probeAt(node: NodeInfo, host: string, port: number): ProbePlan {
  return { from: node.name, pid: node.pid, isContainer: false, host, port };
}
