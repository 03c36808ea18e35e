import type { Endpoint, EndpointSlice, Service, ServicePort } from "../formats/kubernetes/index.ts";
import { SERVICE_NAME_LABEL } from "../formats/kubernetes/index.ts";
import { compareIp, type IpAddress, type IpFamily } from "../formats/netip/index.ts";

/** Where a service port sends a connection. */
export interface Target {
  readonly ip: IpAddress;
  readonly port: number;
  readonly nodeName?: string;
}

type Conditions = Endpoint["conditions"];

/**
 * The endpoints that one port of a Service is spread over, in a fixed order: those that are ready; if there is none,
 * those that still serve while they terminate (KEP-1669). Union over all slices; an address and port that several
 * slices have counts once.
 */
export function targetsOf(slices: readonly EndpointSlice[], port: ServicePort, family: IpFamily): Target[] {
  const all = slices
    .filter(({ addressType }) => addressType === `IPv${family}`)
    .flatMap((slice) =>
      slice.ports
        .filter(({ name, protocol }) => name === port.name && protocol === port.protocol)
        .flatMap(({ port }) => slice.endpoints.flatMap((endpoint) => candidate(endpoint, port) ?? [])),
    );
  const ready = all.filter(({ conditions }) => conditions.ready);
  const usable = ready.length > 0 ? ready : all.filter(({ conditions: c }) => c.serving && c.terminating);
  const unique = new Map(usable.map(({ target }) => [`${target.ip} ${target.port}`, target]));
  return [...unique.values()].sort((a, b) => compareIp(a.ip, b.ip) || a.port - b.port);
}

/** An endpoint's addresses are interchangeable; the first stands for all, as in kube-proxy. */
function candidate(endpoint: Endpoint, port: number): { conditions: Conditions; target: Target } | undefined {
  const [ip] = endpoint.addresses;
  if (ip === undefined) return undefined;
  const { nodeName, conditions } = endpoint;
  return { conditions, target: { ip, port, ...(nodeName === undefined ? {} : { nodeName }) } };
}

/** Slices by the Service they belong to: `namespace/name`. */
export function slicesByService(slices: readonly EndpointSlice[]): Map<string, EndpointSlice[]> {
  const byService = new Map<string, EndpointSlice[]>();
  for (const slice of slices) {
    const name = slice.metadata.labels[SERVICE_NAME_LABEL];
    if (name === undefined) continue;
    const key = `${slice.metadata.namespace}/${name}`;
    const list = byService.get(key);
    if (list) list.push(slice);
    else byService.set(key, [slice]);
  }
  return byService;
}

export function serviceKey({ metadata }: Pick<Service, "metadata">): string {
  return `${metadata.namespace}/${metadata.name}`;
}
