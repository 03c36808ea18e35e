import type { EndpointSlice, Pod, Service } from "./objects.ts";

/** The slices that Kubernetes' endpoint-slice controller would keep for `service`: one a family and set of ports. */
export function endpointSlicesFor(service: Service, pods: readonly Pod[]): EndpointSlice[] {
  throw new Error(`not yet: ${service.metadata.name} ${pods.length}`);
}
