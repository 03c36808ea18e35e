import type { Prefix } from "../netip/index.ts";

/** A node's subnets as the last part of a lease's key says them. At least one is there. */
export interface SubnetKey {
  readonly subnet?: Prefix;
  readonly ipv6Subnet?: Prefix;
}

/** `10.5.67.0-24`, `10.5.71.0-24&2001:cafe:42:57::-64`, or `0.0.0.0-0&2001:cafe:42:2f::-64` without IPv4. */
export function formatSubnetKey(key: SubnetKey): string {
  throw new Error(`not yet: ${key.subnet}`);
}

/** `key` without `<prefix>/subnets/`. @throws {FlannelError} */
export function parseSubnetKey(key: string): SubnetKey {
  throw new Error(`not yet: ${key}`);
}
