import { formatPrefix, type IpFamily, type Prefix, prefixFamily } from "../formats/netip/index.ts";

/** One family: the cluster's network (N) and this node's own subnet of it (P). */
export interface MasqueradeNetwork {
  readonly network: Prefix;
  readonly subnet: Prefix;
}

export interface MasqueradeConfig {
  readonly ipv4?: MasqueradeNetwork;
  readonly ipv6?: MasqueradeNetwork;
  /** Flannel's --ip-masq. */
  readonly ipMasq: boolean;
  /** Flannel's --iptables-forward-rules, on by default there. */
  readonly forwardRules: boolean;
  /** By default on; off for kernels without it. */
  readonly randomFully?: boolean;
  /** Where pods' packets go with the pods' own addresses, of either family. Default: nowhere outside the network. */
  readonly nonMasquerade?: readonly Prefix[];
}

/** What Flannel and kube-proxy never masquerade: multicast. */
export const MULTICAST = { 4: "224.0.0.0/4", 6: "ff00::/8" } as const;

/** The families that `config` has, in order. @throws {RangeError} when a subnet is of another than its network */
export function networksOf(config: MasqueradeConfig): (MasqueradeNetwork & { readonly family: IpFamily })[] {
  return [config.ipv4, config.ipv6]
    .filter((net) => net !== undefined)
    .map(({ network, subnet }) => {
      const family = prefixFamily(network);
      if (prefixFamily(subnet) !== family)
        throw new RangeError(`Subnet ${formatPrefix(subnet)} and network ${formatPrefix(network)} differ in family`);
      return { network, subnet, family };
    });
}

/** The destinations of one family that pods reach with their own addresses, each once. */
export function nonMasqueradeOf({ nonMasquerade = [] }: MasqueradeConfig, family: IpFamily): Prefix[] {
  const own = nonMasquerade.filter((prefix) => prefixFamily(prefix) === family);
  return [...new Map(own.map((prefix) => [formatPrefix(prefix), prefix])).values()];
}
