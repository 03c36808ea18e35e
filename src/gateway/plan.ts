import type { EndpointSlice, Service, ServicePort } from "../formats/kubernetes/index.ts";
import { familyOf, type IpAddress, type IpFamily, type Prefix } from "../formats/netip/index.ts";
import { type Datum, type Element, printKey, type Verdict } from "../formats/nftables/index.ts";
import { serviceKey, slicesByService, type Target, targetsOf } from "./endpoints.ts";
import { type Affinity, dealSlots, MAX_TARGETS } from "./slots.ts";

export interface GatewayOptions {
  /**
   * Where pods live (the Flannel network): what comes from elsewhere to a ClusterIP is masqueraded, so that the
   * endpoint's answer comes back this way. Without one for a family, all of it is.
   */
  readonly clusterCidrs: readonly Prefix[];
  /** The ClusterIP ranges: a new connection to an address in them that no Service has is dropped. */
  readonly serviceCidrs?: readonly Prefix[];
  /** This node's name, to know which endpoints can reach themselves through a Service (hairpin). */
  readonly nodeName?: string;
  /** A gateway node: masquerade what leaves by this device and is not its own. */
  readonly egress?: { readonly device: string };
}

/** The maps and sets whose elements are the Services; docs/nftables.md describes each. */
export const GATEWAY_SETS = [
  "cluster-ips",
  "service-ips",
  "service-nodeports",
  "service-icmp",
  "service-endpoints",
  "nodeport-endpoints",
  "icmp-endpoints",
  "no-endpoint-services",
  "no-endpoint-nodeports",
  "hairpin",
] as const;
export type GatewaySet = (typeof GATEWAY_SETS)[number];

/** Everything `table <family> podpath-gateway` should hold. Elements are keyed by the nft text of their key. */
export interface GatewayState {
  readonly family: IpFamily;
  readonly options: GatewayOptions;
  readonly elements: Readonly<Record<GatewaySet, ReadonlyMap<string, Element>>>;
  /** What was left out, and why (an address or port that two Services claim). */
  readonly skipped: readonly string[];
}

/** The chain that draws among so many slots: `service-3`, `nodeport-affinity-64`, `icmp-1`. */
export function slotChain(kind: "service" | "nodeport" | "icmp", slots: number, affinity: Affinity): string {
  return `${kind}-${affinity === "ClientIP" ? "affinity-" : ""}${slots}`;
}

const REJECT: Verdict = { verdict: "goto", chain: "reject-chain" };

/** What the ruleset of one family must hold for these Services. Pure; the same input gives the same output. */
export function planGateway(
  services: readonly Service[],
  endpointSlices: readonly EndpointSlice[],
  options: GatewayOptions,
  family: IpFamily = 4,
): GatewayState {
  const plan = new Plan(options, family);
  const slices = slicesByService(endpointSlices);
  // By name, so that of two Services that claim one address it is always the same that gets it.
  const sorted = services.toSorted((a, b) => (serviceKey(a) < serviceKey(b) ? -1 : 1));
  for (const service of sorted) plan.addService(service, slices.get(serviceKey(service)) ?? []);
  return { family, options, elements: plan.elements, skipped: plan.skipped };
}

class Plan {
  readonly elements = Object.fromEntries(GATEWAY_SETS.map((name) => [name, new Map()])) as Record<
    GatewaySet,
    Map<string, Element>
  >;
  readonly skipped: string[] = [];
  readonly #options: GatewayOptions;
  readonly #family: IpFamily;
  readonly #owners = new Map<string, string>();

  constructor(options: GatewayOptions, family: IpFamily) {
    this.#options = options;
    this.#family = family;
  }

  addService(service: Service, slices: readonly EndpointSlice[]): void {
    const name = serviceKey(service);
    const { sessionAffinity, ports } = service.spec;
    const clusterIp = service.spec.clusterIPs.find((ip) => familyOf(ip) === this.#family);
    const ownsIp = clusterIp !== undefined && this.#claim(clusterIp, name);
    const targetsOfPorts = ports.map((port) => ({ port, targets: targetsOf(slices, port, this.#family) }));
    for (const { port, targets } of targetsOfPorts) {
      if (targets.length > MAX_TARGETS)
        this.skipped.push(`${name}: port ${port.port} has ${targets.length} endpoints; ${MAX_TARGETS} are used`);
      const slots = dealSlots(targets, sessionAffinity);
      if (ownsIp) this.#addClusterIpPort(clusterIp, port, slots, sessionAffinity, name);
      if (port.nodePort !== undefined) this.#addNodePort(port, port.nodePort, slots, sessionAffinity, name);
      for (const target of slots) this.#addHairpin(target);
    }
    if (ownsIp) {
      this.#put("cluster-ips", { key: [clusterIp], comment: comment(name) });
      this.#addIcmp(
        clusterIp,
        targetsOfPorts.flatMap(({ targets }) => targets),
        name,
      );
    }
  }

  #addClusterIpPort(
    ip: IpAddress,
    port: ServicePort,
    slots: readonly Target[],
    affinity: Affinity,
    name: string,
  ): void {
    const key = [ip, protocolOf(port), port.port];
    if (slots.length === 0) {
      this.#put("no-endpoint-services", { key, value: REJECT, comment: comment(name) });
      return;
    }
    this.#put("service-ips", {
      key,
      value: goto(slotChain("service", slots.length, affinity)),
      comment: comment(name),
    });
    slots.forEach((target, slot) => {
      this.#put("service-endpoints", { key: [...key, slot], value: [target.ip, target.port] });
    });
  }

  #addNodePort(port: ServicePort, nodePort: number, slots: readonly Target[], affinity: Affinity, name: string): void {
    const key = [protocolOf(port), nodePort];
    if (!this.#claim(`node port ${nodePort}/${port.protocol}`, name)) return;
    if (slots.length === 0) {
      this.#put("no-endpoint-nodeports", { key, value: REJECT, comment: comment(name) });
      return;
    }
    const value = goto(slotChain("nodeport", slots.length, affinity));
    this.#put("service-nodeports", { key, value, comment: comment(name) });
    slots.forEach((target, slot) => {
      this.#put("nodeport-endpoints", { key: [...key, slot], value: [target.ip, target.port] });
    });
  }

  /** Echo requests have no port: they go to any pod behind any port of the Service. */
  #addIcmp(ip: IpAddress, targets: readonly Target[], name: string): void {
    const pods = [...new Set(targets.map((target) => target.ip))].map((pod) => ({ ip: pod, port: 0 }));
    const slots = dealSlots(pods, "None");
    if (slots.length === 0) return;
    this.#put("service-icmp", {
      key: [ip],
      value: goto(slotChain("icmp", slots.length, "None")),
      comment: comment(name),
    });
    slots.forEach((target, slot) => {
      this.#put("icmp-endpoints", { key: [ip, slot], value: [target.ip] });
    });
  }

  /** Only a pod of this node can come back to itself here; without a node name any endpoint may be one. */
  #addHairpin({ ip, nodeName }: Target): void {
    const here = this.#options.nodeName;
    if (here === undefined || nodeName === undefined || here === nodeName) this.#put("hairpin", { key: [ip, ip] });
  }

  #put(set: GatewaySet, element: Element): void {
    this.elements[set].set(printKey(element.key), element);
  }

  #claim(what: string, name: string): boolean {
    const owner = this.#owners.get(what);
    if (owner !== undefined && owner !== name) {
      this.skipped.push(`${name}: ${what} belongs to ${owner} already`);
      return false;
    }
    this.#owners.set(what, name);
    return true;
  }
}

function goto(chain: string): Verdict {
  return { verdict: "goto", chain };
}

function protocolOf({ protocol }: ServicePort): Datum {
  return protocol.toLowerCase();
}

/** nft's limit; a namespace and a name can each have 63 characters, so this is never reached with valid ones. */
function comment(name: string): string {
  return name.slice(0, 128);
}
