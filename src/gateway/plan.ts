import type { EndpointSlice, Service } from "../formats/kubernetes/index.ts";
import type { IpFamily, Prefix } from "../formats/netip/index.ts";
import type { Element } from "../formats/nftables/index.ts";

export interface GatewayOptions {
  /** Where pods live (the Flannel network): what comes from elsewhere is masqueraded on its way to an endpoint. */
  readonly clusterCidrs: readonly Prefix[];
  /** The ClusterIP ranges: an address in them that no Service has is dropped. */
  readonly serviceCidrs?: readonly Prefix[];
  /** This node's name, to know which endpoints can reach themselves through a Service (hairpin). */
  readonly nodeName?: string;
  /** A gateway node: masquerade what leaves by this device. */
  readonly egress?: { readonly device: string };
}

/** Names of the maps and sets whose elements are the Services; each is described in docs/nftables.md. */
export type GatewaySet =
  | "service-ips"
  | "service-nodeports"
  | "service-icmp"
  | "service-endpoints"
  | "nodeport-endpoints"
  | "icmp-endpoints"
  | "no-endpoint-services"
  | "no-endpoint-nodeports"
  | "cluster-ips"
  | "hairpin";

/** Everything `table <family> podpath-gateway` should hold. Elements are keyed by the nft text of their key. */
export interface GatewayState {
  readonly family: IpFamily;
  readonly options: GatewayOptions;
  readonly elements: Readonly<Record<GatewaySet, ReadonlyMap<string, Element>>>;
  /** What was left out, and why (an address or port that two Services claim). */
  readonly skipped: readonly string[];
}

/** What the ruleset of one family must hold for these Services. Pure; the same input gives the same output. */
export function planGateway(
  services: readonly Service[],
  endpointSlices: readonly EndpointSlice[],
  options: GatewayOptions,
  family: IpFamily = 4,
): GatewayState {
  throw new Error(`not yet: ${services.length} ${endpointSlices.length} ${options} ${family}`);
}
