// What Kubernetes' API server would refuse, and what the lab cannot run: found before anything is made.
import type { Manifest, Pod, Service } from "../formats/kubernetes/index.ts";
import { formatPrefix, prefixContains } from "../formats/netip/index.ts";
import { LabError } from "./errors.ts";
import { portsOf, runsEcho } from "./runtime/container.ts";
import { FABRIC, SERVICE_CIDR } from "./topology.ts";

const NODE_NAME = new RegExp(`^(gateway|store|client|lab|${FABRIC}|node[1-9]\\d*)$`);

/** @param source the files' names, for the error @throws {LabError} */
export function admit({ pods, services, endpointSlices }: Manifest, source: string): void {
  if (pods.length + services.length === 0)
    throw new LabError(`run what ${source} says`, { reason: "there is no Pod and no Service in it" });
  const [slice] = endpointSlices;
  if (slice)
    throw new LabError(`take EndpointSlice ${slice.metadata.name} of ${source}`, {
      reason: "the lab makes them itself, from the pods that a Service selects",
      advice: "leave it out",
    });
  pods.forEach(admitPod);
  admitServices(services);
}

function admitPod({ metadata, spec }: Pod): void {
  const { name } = metadata;
  if (NODE_NAME.test(name))
    throw new LabError(`run pod ${name}`, {
      reason: "a machine of the lab has that name",
      advice: "give it another",
    });
  const taken = new Map<string, string>();
  for (const container of spec.containers.filter(runsEcho))
    for (const port of new Set(portsOf(container).map((one) => one.port))) {
      const other = taken.get(String(port));
      if (other !== undefined)
        throw new LabError(`run pod ${name}`, {
          reason: `containers ${other} and ${container.name} both listen on port ${port}, and share the pod's addresses`,
          advice: "give one of them another containerPort; without one it is 8080",
        });
      taken.set(String(port), container.name);
    }
}

function admitServices(services: readonly Service[]): void {
  const owners = new Map<string, string>();
  const own = (what: string, { metadata }: Service): void => {
    const owner = `${metadata.namespace}/${metadata.name}`;
    const other = owners.get(what);
    if (other !== undefined)
      throw new LabError(`run Service ${owner}`, {
        reason: other === owner ? `it has ${what} twice` : `Service ${other} has ${what} already`,
      });
    owners.set(what, owner);
  };
  for (const service of services) {
    const { metadata, spec } = service;
    own(`the name ${metadata.namespace}/${metadata.name}`, service);
    for (const ip of spec.clusterIPs) {
      if (!prefixContains(SERVICE_CIDR, ip))
        throw new LabError(`run Service ${metadata.name}`, {
          reason: `its ClusterIP ${ip} is not in ${formatPrefix(SERVICE_CIDR)}`,
          advice: "choose one there, or leave clusterIP out",
        });
      own(`ClusterIP ${ip}`, service);
    }
    for (const { nodePort, protocol } of spec.ports)
      if (nodePort !== undefined) own(`NodePort ${nodePort}/${protocol}`, service);
  }
}
