import { maskPrefix, type Prefix, parseIpv4, parseIpv6, prefixesEqual } from "../netip/index.ts";
import { FlannelError } from "./errors.ts";
import { show } from "./json.ts";

/** A node's subnets as the last part of a lease's key says them. At least one is there. */
export interface SubnetKey {
  readonly subnet?: Prefix;
  readonly ipv6Subnet?: Prefix;
}

/** How Flannel says "no IPv4" in front of an IPv6 subnet. */
const NO_IPV4 = "0.0.0.0-0";
const KEY = /^(\d+\.\d+\.\d+\.\d+)-(\d{1,3})(?:&([a-f\d:]+)-(\d{1,3}))?$/;

/** `10.5.67.0-24`, `10.5.71.0-24&2001:cafe:42:57::-64`, or `0.0.0.0-0&2001:cafe:42:2f::-64` without IPv4. */
export function formatSubnetKey({ subnet, ipv6Subnet }: SubnetKey): string {
  const part = (prefix: Prefix): string => `${prefix.address}-${prefix.length}`;
  return `${subnet ? part(subnet) : NO_IPV4}${ipv6Subnet ? `&${part(ipv6Subnet)}` : ""}`;
}

/**
 * `key` without `<prefix>/subnets/`. Stricter than Flannel, which would take the tail of any key, and host bits:
 * what is read here becomes a route. @throws {FlannelError}
 */
export function parseSubnetKey(key: string): SubnetKey {
  const fail = (why: string): never => {
    throw new FlannelError(`the subnet key ${show(key)}`, "", `${why}; a lease's key looks like 10.244.1.0-24`);
  };
  const [, ipv4, length4, ipv6, length6] = KEY.exec(key) ?? [];
  if (ipv4 === undefined) return fail("it is not ADDRESS-LENGTH");
  const read = (parse: () => Prefix, longest: number): Prefix => {
    let prefix: Prefix;
    try {
      prefix = parse();
    } catch (error) {
      return fail(error instanceof Error ? error.message : String(error));
    }
    if (prefix.length < 1 || prefix.length > longest) return fail(`its prefix length must be 1 to ${longest}`);
    if (!prefixesEqual(prefix, maskPrefix(prefix))) return fail("it has host bits set");
    return prefix;
  };
  // Flannel reads the lengths as numbers of 5 and 7 bits: no /32, no /128.
  const ipv6Subnet = ipv6 && read(() => ({ address: parseIpv6(ipv6), length: Number(length6) }), 127);
  if (ipv6Subnet && `${ipv4}-${length4}` === NO_IPV4) return { ipv6Subnet };
  const subnet = read(() => ({ address: parseIpv4(ipv4), length: Number(length4) }), 31);
  return { subnet, ...(ipv6Subnet && { ipv6Subnet }) };
}
