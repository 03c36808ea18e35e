// What runs in the lab: the default pods and Service, or what manifest files say.
import { parseAllDocuments } from "yaml";
import { type Manifest, type Pod, parseManifest, type Service } from "../formats/kubernetes/index.ts";
import { addToIp, type IpAddress } from "../formats/netip/index.ts";
import { admit } from "./admission.ts";
import { LabError, reasonOf } from "./errors.ts";
import { SERVICE_CIDR } from "./topology.ts";

export interface ManifestFile {
  readonly name: string;
  readonly text: string;
}

export interface Workload {
  /** Each with its nodeName. */
  readonly pods: readonly Pod[];
  readonly services: readonly Service[];
}

const container = (name: string, containerPort: number): object => ({
  name,
  ports: [{ containerPort }, { containerPort, protocol: "UDP" }],
});

const pod = (name: string, nodeName: string, labels: object, containers: object[]): object => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, labels },
  spec: { nodeName, containers },
});

/** Two containers in one pod, two pods on one node, and one on another: what the six scenarios need. */
const defaultObjects = (nodes: number): object[] => [
  pod("pod-a", "node1", { app: "web" }, [container("c0", 8080), container("c1", 8081)]),
  pod("pod-b", "node1", {}, [container("c0", 8080)]),
  pod("pod-c", nodes > 1 ? "node2" : "node1", { app: "web" }, [container("c0", 8080)]),
  {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web" },
    spec: {
      type: "NodePort",
      clusterIP: "10.96.0.10",
      selector: { app: "web" },
      ports: [
        { name: "tcp", protocol: "TCP", port: 80, targetPort: 8080, nodePort: 30080 },
        { name: "udp", protocol: "UDP", port: 80, targetPort: 8080, nodePort: 30080 },
      ],
    },
  },
];

/** @throws {ManifestError | LabError} with file, document and field */
export function readWorkload(files: readonly ManifestFile[], nodes: number): Workload {
  if (files.length === 0) return place(parseManifest(defaultObjects(nodes)), nodes);
  const manifests = files.map(({ name, text }) => parseManifest(parseYaml(name, text), name));
  const whole = {
    pods: manifests.flatMap(({ pods }) => pods),
    services: manifests.flatMap(({ services }) => services),
    endpointSlices: manifests.flatMap(({ endpointSlices }) => endpointSlices),
  };
  admit(whole, files.map(({ name }) => name).join(", "));
  return place(whole, nodes);
}

function parseYaml(name: string, text: string): unknown[] {
  const documents = parseAllDocuments(text);
  if (!Array.isArray(documents)) return [];
  return documents.map((document, i) => {
    const refuse = (cause: unknown): LabError => {
      // The line that says where ends in a colon: what follows is a picture of the place.
      const reason = (reasonOf(cause).match(/^.*? at line \d+, column \d+/)?.[0] ?? reasonOf(cause)).trim();
      return new LabError(`read ${name} document ${i + 1}`, { reason, cause });
    };
    const [error] = document.errors;
    if (error) throw refuse(error);
    try {
      return document.toJS() as unknown;
    } catch (cause) {
      throw refuse(cause);
    }
  });
}

function place(manifest: Manifest, nodes: number): Workload {
  const names = new Set<string>();
  const pods = manifest.pods.map((object, i): Pod => {
    const { name, namespace } = object.metadata;
    const key = `${namespace}/${name}`;
    if (names.has(key)) throw new LabError(`run pod ${key}`, { reason: "two manifests have it" });
    names.add(key);
    const nodeName = object.spec.nodeName ?? `node${(i % nodes) + 1}`;
    if (!/^node[1-9]\d*$/.test(nodeName) || Number(nodeName.slice(4)) > nodes)
      throw new LabError(`run pod ${key}`, {
        reason: `there is no node ${JSON.stringify(nodeName)}`,
        advice: `nodeName is one of node1 to node${nodes}, or left out; --nodes N makes more`,
      });
    return { ...object, spec: { ...object.spec, nodeName } };
  });
  return { pods, services: allocate(manifest.services) };
}

/** What Kubernetes' API server does for a Service that names no ClusterIP or NodePort. */
function allocate(services: readonly Service[]): Service[] {
  const ips = new Set<IpAddress>(services.flatMap(({ spec }) => spec.clusterIPs));
  const ports = new Set(services.flatMap(({ spec }) => spec.ports.map(({ nodePort }) => nodePort)));
  return services.map((service) => {
    const { spec } = service;
    const clusterIPs = spec.isHeadless || spec.clusterIPs.length > 0 ? spec.clusterIPs : [freeIp(ips)];
    const withPorts =
      spec.type === "NodePort"
        ? spec.ports.map((port) => ({ ...port, nodePort: port.nodePort ?? freePort(ports) }))
        : spec.ports;
    return { ...service, spec: { ...spec, clusterIPs, ports: withPorts } };
  });
}

function freeIp(taken: Set<IpAddress>): IpAddress {
  // Kubernetes hands out the upper part of the range and leaves the lower to those who choose.
  for (let ip = addToIp(SERVICE_CIDR.address, 256); ; ip = addToIp(ip, 1))
    if (!taken.has(ip)) {
      taken.add(ip);
      return ip;
    }
}

function freePort(taken: Set<number | undefined>): number {
  for (let port = 30000; ; port++)
    if (!taken.has(port)) {
      taken.add(port);
      return port;
    }
}
