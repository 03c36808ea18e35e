import type { NetworkConfig } from "../formats/flannel/index.ts";
import type { GatewayOptions } from "../gateway/index.ts";
import type { AgentOptions } from "./options.ts";

/** The gateway of a node with these options in this network. */
export function gatewayOptionsOf(network: NetworkConfig, options: AgentOptions): GatewayOptions {
  return {
    clusterCidrs: [network.ipv4?.network, network.ipv6?.network].filter((range) => range !== undefined),
    serviceCidrs: options.serviceCidrs,
    nodeName: options.nodeName,
    ...(options.gatewayEgress && { egress: { device: options.gatewayEgress } }),
  };
}
