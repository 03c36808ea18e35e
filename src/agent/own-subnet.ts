import type { NetworkConfig, SubnetEnv } from "../formats/flannel/index.ts";
import type { Prefix } from "../formats/netip/index.ts";
import { RTN_BLACKHOLE } from "../formats/netlink/index.ts";
import { RTPROT_PODPATH, reconcile } from "../host/index.ts";
import type { Rtnl } from "../kernel/index.ts";
import type { Lease } from "../subnet/index.ts";
import type { AgentOptions } from "./options.ts";
import type { Undo } from "./undo.ts";

/** What subnet.env tells the CNI plugin. */
export function subnetEnv(network: NetworkConfig, own: Lease, mtuBytes: number, options: AgentOptions): SubnetEnv {
  return {
    networks: network.ipv4 ? [network.ipv4.network] : [],
    ipv6Networks: network.ipv6 ? [network.ipv6.network] : [],
    ...(own.subnet && { subnet: own.subnet }),
    ...(own.ipv6Subnet && { ipv6Subnet: own.ipv6Subnet }),
    mtuBytes,
    ipMasq: options.ipMasq,
  };
}

/** Where --ip-blackhole-route lets packets end. */
export function blackholesOf(own: Lease, options: AgentOptions): Prefix[] {
  return options.ipBlackholeRoute ? [own.subnet, own.ipv6Subnet].filter((subnet) => subnet !== undefined) : [];
}

/** Before the first is made, so that a start that fails takes them away again, if there were none before. */
export function undoBlackholes(ranges: readonly Prefix[], rtnl: Rtnl, made: Undo): void {
  if (ranges.length === 0 || rtnl.routes({ protocol: RTPROT_PODPATH, type: RTN_BLACKHOLE }).length > 0) return;
  made.push("remove the blackhole route", () => reconcile(rtnl, { devices: [], peers: [], ranges }));
}
