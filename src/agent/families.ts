import type { NetworkConfig } from "../formats/flannel/index.ts";
import type { IpFamily } from "../formats/netip/index.ts";

/** The families that the network config enables. */
export function familiesOf(network: NetworkConfig): IpFamily[] {
  return [...(network.ipv4 ? [4 as const] : []), ...(network.ipv6 ? [6 as const] : [])];
}
