import type { LeaseAttrs, NetworkConfig } from "../formats/flannel/index.ts";
import { type IpFamily, type Prefix, parseIpv4 } from "../formats/netip/index.ts";
import type { ExternalInterface } from "./backend.ts";
import { BackendError } from "./errors.ts";

/** What a node without IPv4 publishes; Flannel's readers need an IPv4 address there. */
export const NO_IPV4: LeaseAttrs["publicIp"] = parseIpv4("0.0.0.0");

/** The families that the network config enables. */
export function familiesOf(network: NetworkConfig): readonly IpFamily[] {
  return [...(network.ipv4 ? [4 as const] : []), ...(network.ipv6 ? [6 as const] : [])];
}

/** The cluster's networks: routes of ours to somewhere in them are the backend's to keep and to remove. */
export function rangesOf(network: NetworkConfig): readonly Prefix[] {
  return present([network.ipv4?.network, network.ipv6?.network]);
}

/** The addresses a lease publishes. @throws {BackendError} when an enabled family has none */
export function publicAddresses(
  external: ExternalInterface,
  families: readonly IpFamily[],
): Pick<LeaseAttrs, "publicIp" | "publicIpv6"> {
  const { publicIp, publicIpv6 } = external;
  const [hasV4, hasV6] = [families.includes(4), families.includes(6)];
  if (hasV4 && !publicIp) throw noAddress(external, 4);
  if (hasV6 && !publicIpv6) throw noAddress(external, 6);
  return { publicIp: hasV4 && publicIp ? publicIp : NO_IPV4, ...(hasV6 && publicIpv6 && { publicIpv6 }) };
}

export function noAddress(external: ExternalInterface, family: IpFamily): BackendError {
  return new BackendError(
    `Cannot use interface ${external.name}: it has no IPv${family} address, and the network config enables IPv${family}; ` +
      `give it one, or name another with --iface`,
  );
}

export function present<T>(items: readonly (T | undefined)[]): T[] {
  return items.filter((item) => item !== undefined);
}
