import type { IpAddress } from "../formats/netip/index.ts";

/** What `podpath agent` is told. The defaults are Flannel's where Flannel has the option. */
export interface AgentOptions {
  /** Default `http://127.0.0.1:4001,http://127.0.0.1:2379`, as Flannel's. */
  readonly etcdEndpoints: readonly string[];
  /** Default `/coreos.com/network`. */
  readonly etcdPrefix: string;
  readonly etcdCafile?: string;
  readonly etcdCertfile?: string;
  readonly etcdKeyfile?: string;
  readonly etcdUsername?: string;
  readonly etcdPassword?: string;
  /** Names or addresses of interfaces, the first that is there wins. Default: the default route's. */
  readonly iface: readonly string[];
  /** The address published to the other nodes, when it is not the interface's own. */
  readonly publicIp?: IpAddress;
  /** Default `/run/flannel/subnet.env`. */
  readonly subnetFile: string;
  /** Default false. */
  readonly ipMasq: boolean;
  /** Default true. */
  readonly iptablesForwardRules: boolean;
  /** Minutes before its end at which a lease is renewed; default 60. */
  readonly subnetLeaseRenewMargin: number;
  /** Serve CNI calls on this Unix socket; none: no CNI server. */
  readonly cniSocket?: string;
  /** Keep the nftables rules of Services; default true. */
  readonly gateway: boolean;
  /** Masquerade what leaves by this device: the node is the way to the outside. */
  readonly gatewayEgress?: string;
  /** Default: the host's name. */
  readonly nodeName: string;
  /** How long to wait between two passes over the whole kernel state when nothing happens; default 30 s. */
  readonly resyncMs: number;
}
