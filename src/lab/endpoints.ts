// The lab's endpoint controller: puts Services and, from the pods that run, their EndpointSlices into the store, where the
// gateways watch them.
import { endpointSlicesFor, formatObject, type Pod, type Service } from "../formats/kubernetes/index.ts";
import type { Op, Store } from "../store/index.ts";
import { SERVICES_PREFIX } from "./topology.ts";

const SPECS = `${SERVICES_PREFIX}/specs`;
const SLICES = `${SERVICES_PREFIX}/endpointslices`;
/** etcd refuses a transaction of more than 128 operations. */
const MAX_OPS = 100;

const keyOf = (prefix: string, { metadata }: Pick<Service, "metadata">): string =>
  `${prefix}/${metadata.namespace}/${metadata.name}`;

/** Everything the store shall hold, by key. */
export function serviceKeys(services: readonly Service[], pods: readonly Pod[]): Map<string, string> {
  return new Map([
    ...services.map((service) => [keyOf(SPECS, service), formatObject(service)] as const),
    ...services
      .flatMap((service) => endpointSlicesFor(service, pods))
      .map((slice) => [keyOf(SLICES, slice), formatObject(slice)] as const),
  ]);
}

/** `10.244.1.2:8080` of every ready endpoint of a Service. */
export function endpointsOf(service: Service, pods: readonly Pod[]): string[] {
  const all = endpointSlicesFor(service, pods).flatMap(({ endpoints, ports }) =>
    endpoints.flatMap(({ addresses }) => addresses.flatMap((ip) => ports.map(({ port }) => `${ip}:${port}`))),
  );
  return [...new Set(all)];
}

/** Makes what the store has below our prefix what it shall have. */
export async function syncServices(store: Store, services: readonly Service[], pods: readonly Pod[]): Promise<void> {
  const wanted = serviceKeys(services, pods);
  const { kvs } = await store.list(`${SERVICES_PREFIX}/`);
  const actual = new Map(kvs.map(({ key, valueText }) => [key, valueText]));
  const ops: Op[] = [
    ...[...wanted]
      .filter(([key, value]) => actual.get(key) !== value)
      .map(([key, value]) => ({ op: "put" as const, key, value })),
    ...[...actual.keys()].filter((key) => !wanted.has(key)).map((key) => ({ op: "delete" as const, key })),
  ];
  for (let i = 0; i < ops.length; i += MAX_OPS) await store.txn({ compare: [], success: ops.slice(i, i + MAX_OPS) });
}
