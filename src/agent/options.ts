import { type IpAddress, type Ipv4Address, type Ipv6Address, type Prefix, parseIp } from "../formats/netip/index.ts";

/** Tables of our own, or Flannel's chains in iptables' tables. */
export type MasqueradeMode = "nft" | "iptables";

/** What `podpath agent` is told. Names are Flannel's where Flannel has the option; the defaults are DEFAULT_OPTIONS. */
export interface AgentOptions {
  readonly etcdEndpoints: readonly string[];
  readonly etcdPrefix: string;
  readonly etcdCafile?: string | undefined;
  readonly etcdCertfile?: string | undefined;
  readonly etcdKeyfile?: string | undefined;
  readonly etcdUsername?: string | undefined;
  readonly etcdPassword?: string | undefined;
  /** Names or addresses of interfaces, the first that is there wins. Nothing of these three: the default route's. */
  readonly iface: readonly string[];
  /** The same by what an interface's address or else its name matches. */
  readonly ifaceRegex: readonly RegExp[];
  /** The interface that leads to this address. */
  readonly ifaceCanReach?: IpAddress | undefined;
  /** What the lease publishes instead of the interface's address: behind NAT. */
  readonly publicIp?: Ipv4Address | undefined;
  readonly publicIpv6?: Ipv6Address | undefined;
  readonly subnetFile: string;
  readonly ipMasq: boolean;
  /** Masqueraded packets leave from a port chosen at random, so that two seldom want the same one. */
  readonly ipMasqRandomFully: boolean;
  readonly iptablesForwardRules: boolean;
  /** How masquerade and forward rules are kept, unless the network config says EnableNFTables: true. */
  readonly masqueradeMode: MasqueradeMode;
  /** Seconds from one look at iptables' rules to the next. */
  readonly iptablesResync: number;
  /** Destinations that pods reach with their own addresses, besides the network. */
  readonly nonMasqueradeCidrs: readonly Prefix[];
  /** Drop what goes to an address of this node's subnet that no pod has. */
  readonly ipBlackholeRoute: boolean;
  /** Minutes before its end at which the lease is renewed, 1 to 1439. */
  readonly subnetLeaseRenewMargin: number;
  /** Serve CNI calls on this Unix socket; undefined: do not. */
  readonly cniSocket?: string | undefined;
  /** Keep the nftables rules of Services. */
  readonly gateway: boolean;
  /** Masquerade what leaves by this device: the node is the way to the outside. */
  readonly gatewayEgress?: string | undefined;
  /** The ranges of ClusterIPs; an address in them that no Service has is refused. */
  readonly serviceCidrs: readonly Prefix[];
  /** Where /healthz, /readyz and /metrics are served; port 0: nowhere. */
  readonly healthzIp: IpAddress;
  readonly healthzPort: number;
  readonly nodeName: string;
  /** The time between two passes when nothing tells of a change; each tenth lists the whole kernel state anew. */
  readonly resyncMs: number;
}

export const DEFAULT_OPTIONS: Omit<AgentOptions, "nodeName"> = {
  etcdEndpoints: ["http://127.0.0.1:4001", "http://127.0.0.1:2379"],
  etcdPrefix: "/coreos.com/network",
  iface: [],
  ifaceRegex: [],
  subnetFile: "/run/flannel/subnet.env",
  ipMasq: false,
  ipMasqRandomFully: true,
  iptablesForwardRules: true,
  masqueradeMode: "nft",
  iptablesResync: 5,
  nonMasqueradeCidrs: [],
  ipBlackholeRoute: false,
  subnetLeaseRenewMargin: 60,
  gateway: true,
  serviceCidrs: [],
  healthzIp: parseIp("0.0.0.0"),
  healthzPort: 0,
  resyncMs: 30_000,
};
