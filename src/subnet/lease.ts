import { type LeaseAttrs, parseLeaseAttrs, parseSubnetKey } from "../formats/flannel/index.ts";
import { type Prefix, prefixesOverlap } from "../formats/netip/index.ts";
import type { KeyValue } from "../store/index.ts";

/** A node's claim on its subnets. A node has at least one of the two. */
export interface Lease {
  /** undefined on a node without IPv4. */
  readonly subnet?: Prefix;
  readonly ipv6Subnet?: Prefix;
  readonly attrs: LeaseAttrs;
  /** Of acquire() and keep(). undefined: a reservation, which does not expire; leases of watch() do not tell. */
  readonly expiresAt?: Date;
}

/** A lease as it stands in the store. */
export interface StoredLease {
  readonly lease: Lease;
  readonly kv: KeyValue;
}

/** @throws {FlannelError} when the key or the value is not one of Flannel's */
export function readLease(directory: string, kv: KeyValue): StoredLease {
  const subnets = parseSubnetKey(kv.key.slice(directory.length));
  return { lease: { ...subnets, attrs: parseLeaseAttrs(kv.valueText) }, kv };
}

/** What the key alone says; nothing when it is no subnet's. */
export function keySubnets(directory: string, { key }: KeyValue): Prefix[] {
  try {
    return subnetsOf(parseSubnetKey(key.slice(directory.length)));
  } catch {
    return [];
  }
}

export function subnetsOf({ subnet, ipv6Subnet }: Pick<Lease, "subnet" | "ipv6Subnet">): Prefix[] {
  return [subnet, ipv6Subnet].filter((prefix) => prefix !== undefined);
}

export function leasesOverlap(a: Lease, b: Lease): boolean {
  return subnetsOf(a).some((x) => subnetsOf(b).some((y) => prefixesOverlap(x, y)));
}

/** Whether both are of one node: by its IPv4 address, or by its IPv6 one where it has no other. */
export function isSameNode(a: LeaseAttrs, b: LeaseAttrs): boolean {
  if (a.publicIp !== "0.0.0.0" || b.publicIp !== "0.0.0.0") return a.publicIp === b.publicIp;
  return a.publicIpv6 !== undefined && a.publicIpv6 === b.publicIpv6;
}

/** For messages. */
export function nameOfNode(attrs: LeaseAttrs): string {
  return attrs.publicIp === "0.0.0.0" ? (attrs.publicIpv6 ?? attrs.publicIp) : attrs.publicIp;
}
