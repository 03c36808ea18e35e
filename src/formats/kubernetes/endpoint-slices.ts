import { familyOf, type IpFamily } from "../netip/index.ts";
import type { Endpoint, EndpointSlice, Pod, Service, ServicePort } from "./objects.ts";
import { SERVICE_NAME_LABEL } from "./objects.ts";

type SlicePort = EndpointSlice["ports"][number];

/**
 * The slices that Kubernetes' endpoint-slice controller would keep for `service`: one a family and distinct set of
 * ports (a named target port may be another number in another pod). A family without a matching pod has an empty
 * slice, so that writing the result over an earlier one takes endpoints away. None for a Service without selector,
 * whose slices are somebody else's.
 */
export function endpointSlicesFor(service: Service, pods: readonly Pod[]): EndpointSlice[] {
  const { selector } = service.spec;
  if (selector === undefined || Object.keys(selector).length === 0) return [];
  const selected = pods.filter((pod) => isSelected(pod, service.metadata.namespace, selector));
  return familiesOf(service).flatMap((family) => slicesOfFamily(service, selected, family));
}

function isSelected(pod: Pod, namespace: string, selector: Readonly<Record<string, string>>): boolean {
  const { metadata } = pod;
  return (
    metadata.namespace === namespace && Object.entries(selector).every(([key, value]) => metadata.labels[key] === value)
  );
}

function familiesOf(service: Service): IpFamily[] {
  const families = new Set(service.spec.clusterIPs.map(familyOf));
  return families.size > 0 ? [...families] : [4];
}

function slicesOfFamily(service: Service, pods: readonly Pod[], family: IpFamily): EndpointSlice[] {
  const groups = new Map<string, { ports: SlicePort[]; endpoints: Endpoint[] }>();
  for (const pod of pods) {
    const addresses = (pod.status?.podIPs ?? []).map(({ ip }) => ip).filter((ip) => familyOf(ip) === family);
    const ports = service.spec.ports.flatMap((port) => targetOf(port, pod) ?? []);
    if (addresses.length === 0 || ports.length === 0) continue;
    const key = JSON.stringify(ports);
    const group = groups.get(key) ?? { ports, endpoints: [] };
    groups.set(key, group);
    group.endpoints.push(endpointOf(pod, addresses, service.spec.publishNotReadyAddresses));
  }
  if (groups.size === 0) groups.set("", { ports: [], endpoints: [] });
  return [...groups.values()].map(({ ports, endpoints }, i) => ({
    kind: "EndpointSlice",
    metadata: {
      name: `${service.metadata.name}-ipv${family}${i === 0 ? "" : `-${i + 1}`}`,
      namespace: service.metadata.namespace,
      labels: { [SERVICE_NAME_LABEL]: service.metadata.name },
    },
    addressType: `IPv${family}`,
    endpoints,
    ports,
  }));
}

function endpointOf(pod: Pod, addresses: Endpoint["addresses"], isAlwaysReady: boolean): Endpoint {
  const isReady = pod.status?.ready ?? true;
  const { nodeName } = pod.spec;
  return {
    addresses,
    conditions: { ready: isReady || isAlwaysReady, serving: isReady, terminating: false },
    ...(nodeName === undefined ? {} : { nodeName }),
    targetRef: { kind: "Pod", namespace: pod.metadata.namespace, name: pod.metadata.name },
  };
}

/** The pod's port behind a service port; none when the pod has no container port of that name. */
function targetOf({ name, protocol, targetPort }: ServicePort, pod: Pod): SlicePort | undefined {
  if (typeof targetPort === "number") return { name, protocol, port: targetPort };
  const found = pod.spec.containers
    .flatMap(({ ports }) => ports)
    .find((port) => port.name === targetPort && port.protocol === protocol);
  return found && { name, protocol, port: found.containerPort };
}
