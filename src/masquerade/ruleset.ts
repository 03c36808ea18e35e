import type { Prefix } from "../formats/netip/index.ts";

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
  /** Flannel's --iptables-forward-rules, by default on. */
  readonly forwardRules: boolean;
  /** By default on; off for kernels without it. */
  readonly randomFully?: boolean;
}

/** nft text of one transaction that puts Flannel's tables, as `config` wants them, in the place of what there is. */
export function masqueradeRuleset(config: MasqueradeConfig): string {
  throw new Error(`not yet: ${config}`);
}
