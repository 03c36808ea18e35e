import { familyOf, type IpAddress } from "../netip/index.ts";
import type { Field } from "./field.ts";
import { readUnicast } from "./ip.ts";
import { parseMetadata } from "./metadata.ts";
import type { Service, ServicePort } from "./objects.ts";
import { parsePortName, parseProtocol } from "./port.ts";

/** Kubernetes' default --service-node-port-range; outside it are ports that the node itself may use. */
export const NODE_PORTS = { first: 30000, last: 32767 } as const;

export function readService(field: Field): Service {
  const spec = field.get("spec");
  const metadata = parseMetadata(field.get("metadata"), true);
  refuseUnsupported(spec);
  const type = spec.get("type").optional((value) => value.oneOf(["ClusterIP", "NodePort"])) ?? "ClusterIP";
  const { clusterIPs, isHeadless } = readClusterIPs(spec);
  if (isHeadless && type === "NodePort") spec.get("clusterIP").fail("a Service of type NodePort cannot be headless");
  const selector = spec.get("selector").optional((value) => value.strings());
  return {
    kind: "Service",
    metadata,
    spec: {
      type,
      clusterIPs,
      isHeadless,
      ...(selector === undefined ? {} : { selector }),
      ports: readPorts(spec.get("ports"), type, isHeadless),
      sessionAffinity: spec.get("sessionAffinity").optional((value) => value.oneOf(["None", "ClientIP"])) ?? "None",
      publishNotReadyAddresses: spec.get("publishNotReadyAddresses").optional((value) => value.boolean()) ?? false,
    },
  };
}

function refuseUnsupported(spec: Field): void {
  spec.get("externalIPs").unsupported("use type NodePort, or route the ClusterIP to a node");
  spec.get("loadBalancerIP").unsupported("use type NodePort, or route the ClusterIP to a node");
  for (const policy of ["externalTrafficPolicy", "internalTrafficPolicy"])
    spec.get(policy).optional((value) => value.oneOf(["Cluster"]));
}

/** `clusterIPs`, or the older `clusterIP`; at most one a family. */
function readClusterIPs(spec: Field): { clusterIPs: IpAddress[]; isHeadless: boolean } {
  const [one, list] = [spec.get("clusterIP"), spec.get("clusterIPs").items()];
  const fields = list.length > 0 ? list : one.isAbsent || one.value === "" ? [] : [one];
  if (fields.some((item) => item.value === "None")) {
    if (fields.length > 1) fields[1]?.fail("None stands alone");
    return { clusterIPs: [], isHeadless: true };
  }
  const clusterIPs = fields.map((item) => readUnicast(item));
  if (new Set(clusterIPs.map(familyOf)).size < clusterIPs.length) fields[1]?.fail("want at most one address a family");
  return { clusterIPs, isHeadless: false };
}

function readPorts(field: Field, type: Service["spec"]["type"], isHeadless: boolean): ServicePort[] {
  const items = field.items();
  if (items.length === 0 && !isHeadless) field.fail("is required: a Service has at least one port");
  const [names, ports] = [new Set<string>(), new Set<string>()];
  return items.map((item) => {
    const port = readPort(item, type);
    if (items.length > 1 && port.name === "") item.get("name").fail("is required when there are several ports");
    if (names.has(port.name)) item.get("name").fail(`${JSON.stringify(port.name)} is used twice`);
    names.add(port.name);
    const key = `${port.protocol} ${port.port}`;
    if (ports.has(key)) item.get("port").fail(`${key} is used twice`);
    ports.add(key);
    return port;
  });
}

function readPort(field: Field, type: Service["spec"]["type"]): ServicePort {
  const port = field.get("port").port();
  const nodePort = field
    .get("nodePort")
    .optional((value) => value.integer(NODE_PORTS.first, NODE_PORTS.last, "a node port"));
  if (nodePort !== undefined && type !== "NodePort") field.get("nodePort").fail("needs spec.type: NodePort");
  const target = field.get("targetPort");
  return {
    name: field.get("name").optional(parsePortName) ?? "",
    protocol: parseProtocol(field.get("protocol")),
    port,
    targetPort:
      target.optional((value) => (typeof value.value === "string" ? parsePortName(value) : value.port())) ?? port,
    ...(nodePort === undefined ? {} : { nodePort }),
  };
}
