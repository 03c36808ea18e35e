import {
  type EndpointSlice,
  endpointSlicesFor,
  type Pod,
  parsePod,
  parseService,
  type Service,
} from "../../formats/kubernetes/index.ts";
import { parsePrefix } from "../../formats/netip/index.ts";
import type { GatewayOptions } from "../plan.ts";

/** The lab's own Service, one with affinity, and one that nobody serves: docs/nftables.md shows the ruleset of these. */
export const OPTIONS: GatewayOptions = {
  clusterCidrs: [parsePrefix("10.244.0.0/16"), parsePrefix("fd00:244::/32")],
  serviceCidrs: [parsePrefix("10.96.0.0/12"), parsePrefix("fd00:96::/112")],
  nodeName: "node1",
  egress: { device: "eth1" },
};

const PODS: readonly Pod[] = [pod("pod-a", "node1", "10.244.1.2", "web"), pod("pod-c", "node2", "10.244.2.2", "web")];

export const SERVICES: readonly Service[] = [
  service("web", {
    type: "NodePort",
    clusterIP: "10.96.0.10",
    selector: { app: "web" },
    ports: [
      { name: "tcp", port: 80, targetPort: 8080, nodePort: 30080 },
      { name: "udp", protocol: "UDP", port: 80, targetPort: 8080, nodePort: 30080 },
    ],
  }),
  service("idle", {
    type: "NodePort",
    clusterIP: "10.96.0.20",
    selector: { app: "idle" },
    ports: [{ port: 443, nodePort: 30443 }],
  }),
];

export const SLICES: readonly EndpointSlice[] = SERVICES.flatMap((service) => endpointSlicesFor(service, PODS));

export function service(name: string, spec: object): Service {
  return parseService({ apiVersion: "v1", kind: "Service", metadata: { name }, spec });
}

export function pod(name: string, nodeName: string, ip: string, app: string): Pod {
  return parsePod({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app } },
    spec: { nodeName, containers: [{ name: "c" }] },
    status: { podIP: ip },
  });
}
