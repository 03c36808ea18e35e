// Which subnet a node gets. Pure: the chance comes in as a function.
import type { AddressPool, NetworkConfig } from "../formats/flannel/index.ts";
import {
  compareIp,
  formatPrefix,
  ipFromBigInt,
  ipToBigInt,
  lastAddress,
  type Prefix,
  prefixContains,
  prefixesOverlap,
  prefixFamily,
  prefixSize,
} from "../formats/netip/index.ts";
import { type Lease, subnetsOf } from "./lease.ts";

/** Nodes that start at once choose among this many, so that few of them choose the same. */
const CANDIDATES = 100;

export function isInPool(pool: AddressPool, subnet: Prefix): boolean {
  return (
    prefixFamily(subnet) === prefixFamily(pool.network) &&
    subnet.length === pool.subnetLength &&
    compareIp(subnet.address, pool.subnetMin.address) >= 0 &&
    compareIp(subnet.address, pool.subnetMax.address) <= 0
  );
}

/** Whether the subnets are exactly what the config wants a node to have: one of each family that is enabled. */
export function fitsConfig(
  config: NetworkConfig,
  { subnet, ipv6Subnet }: Pick<Lease, "subnet" | "ipv6Subnet">,
): boolean {
  const fits = (pool: AddressPool | undefined, prefix: Prefix | undefined): boolean =>
    pool && prefix ? isInPool(pool, prefix) : pool === prefix;
  return fits(config.ipv4, subnet) && fits(config.ipv6, ipv6Subnet);
}

/**
 * The lease as far as the config's families go; undefined: it has nothing of them. A node that has one family more than
 * ours may have been started with a newer config.
 */
export function inFamilies(config: NetworkConfig, { subnet, ipv6Subnet, ...lease }: Lease): Lease | undefined {
  const kept = { ...(config.ipv4 && subnet && { subnet }), ...(config.ipv6 && ipv6Subnet && { ipv6Subnet }) };
  return Object.keys(kept).length > 0 ? { ...lease, ...kept } : undefined;
}

/** A network holds at least four subnets: Flannel's rule for SubnetLen. */
const BITS_OF_FOUR = 2;

/** Whether the subnets are parts of the config's networks: nothing else, and not a whole one, may become a route. */
export function isInNetwork(config: NetworkConfig, lease: Lease): boolean {
  return subnetsOf(lease).every((subnet) =>
    [config.ipv4, config.ipv6].some(
      (pool) =>
        pool && subnet.length >= pool.network.length + BITS_OF_FOUR && prefixContains(pool.network, subnet.address),
    ),
  );
}

/** One of the first hundred free subnets of the pool; undefined: all are taken. */
export function chooseSubnet(
  pool: AddressPool,
  taken: readonly Prefix[],
  random: (below: number) => number,
): Prefix | undefined {
  const free = freeSubnets(pool, taken);
  return free.length > 0 ? free[random(free.length)] : undefined;
}

export function freeSubnets(pool: AddressPool, taken: readonly Prefix[]): Prefix[] {
  const family = prefixFamily(pool.network);
  const size = prefixSize(pool.subnetMin);
  const last = ipToBigInt(pool.subnetMax.address);
  const busy = taken
    .filter((prefix) => prefixesOverlap(prefix, pool.network))
    .map((prefix) => [ipToBigInt(prefix.address), ipToBigInt(lastAddress(prefix))] as const)
    .sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
  const free: Prefix[] = [];
  let next = 0;
  for (let start = ipToBigInt(pool.subnetMin.address); start <= last && free.length < CANDIDATES; ) {
    // The intervals are in order of their starts, and so is our walk: those that ended before it are done with.
    while (next < busy.length && (busy[next]?.[1] ?? 0n) < start) next++;
    const [from, to] = busy[next] ?? [last + size, last];
    if (from < start + size) {
      // Every subnet of the pool begins at a multiple of their size.
      start = (to / size + 1n) * size;
    } else {
      free.push({ address: ipFromBigInt(start, family), length: pool.subnetLength });
      start += size;
    }
  }
  return free;
}

/** How many subnets the pool has, and how many of them nobody has a part of. */
export function countSubnets(
  pool: AddressPool,
  taken: readonly Prefix[],
): { readonly all: bigint; readonly free: bigint } {
  const size = prefixSize(pool.subnetMin);
  // Subnets by their number, the pool's first being 0.
  const first = ipToBigInt(pool.subnetMin.address) / size;
  const all = ipToBigInt(pool.subnetMax.address) / size - first + 1n;
  const numberOf = (ip: bigint): bigint => ip / size - first;
  const busy = taken
    .filter((prefix) => prefixesOverlap(prefix, pool.network))
    .map((prefix) => [numberOf(ipToBigInt(prefix.address)), numberOf(ipToBigInt(lastAddress(prefix)))] as const)
    .sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
  let free = 0n;
  let next = 0n;
  for (const [from, to] of busy) {
    if (from > next) free += (from < all ? from : all) - next;
    if (to + 1n > next) next = to + 1n;
    if (next >= all) return { all, free };
  }
  return { all, free: free + all - next };
}

/** `0 of 255 subnets from 10.244.1.0/24 to 10.244.255.0/24 are free, 255 leases hold them`: for the error. */
export function describeFullPool(pool: AddressPool, taken: readonly Prefix[]): string {
  const { all } = countSubnets(pool, taken);
  const holders = taken.filter((prefix) => prefixesOverlap(prefix, pool.network)).length;
  const range = `from ${formatPrefix(pool.subnetMin)} to ${formatPrefix(pool.subnetMax)}`;
  return `0 of ${all} subnets ${range} are free, ${holders} leases hold them`;
}
