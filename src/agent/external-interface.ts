import type { ExternalInterface } from "../backend/index.ts";
import type { NetworkConfig } from "../formats/flannel/index.ts";
import {
  compareIp,
  familyOf,
  formatPrefix,
  type IpAddress,
  type IpFamily,
  type Ipv4Address,
  type Ipv6Address,
  isIpv4,
  isIpv6,
  lastAddress,
  maskPrefix,
  prefixFamily,
} from "../formats/netip/index.ts";
import type { Address, Link, Route } from "../formats/netlink/index.ts";
import { RT_SCOPE_LINK, RT_SCOPE_UNIVERSE, RTN_UNICAST } from "../formats/netlink/index.ts";
import type { ActualState } from "../host/index.ts";
import { AgentError } from "./errors.ts";
import { familiesOf } from "./families.ts";
import type { AgentOptions } from "./options.ts";

// include/uapi/linux/if_addr.h
const IFA_F_TEMPORARY = 0x01;
const IFA_F_DEPRECATED = 0x20;
const IFA_F_PERMANENT = 0x80;

export interface InterfaceOptions {
  /** Names or addresses; the first that is there wins. Empty: see chooseInterface(). */
  readonly iface: readonly string[];
  /** Looked for after those: in its addresses, or else in its name. */
  readonly ifaceRegex?: readonly RegExp[];
  /** The interface that leads there, after all of those. */
  readonly ifaceCanReach?: IpAddress;
  /** Addresses to be preferred to the interface's others: how it was chosen. */
  readonly prefer?: readonly IpAddress[];
  readonly publicIp?: Ipv4Address;
  readonly publicIpv6?: Ipv6Address;
  /** The families the network config enables. */
  readonly families: readonly IpFamily[];
}

/** What the agent's options ask for, in a network of these families. */
export function interfaceOptionsOf(options: AgentOptions, network: NetworkConfig): InterfaceOptions {
  return {
    iface: options.iface,
    ifaceRegex: options.ifaceRegex,
    ...(options.ifaceCanReach && { ifaceCanReach: options.ifaceCanReach }),
    ...(options.publicIp && { publicIp: options.publicIp }),
    ...(options.publicIpv6 && { publicIpv6: options.publicIpv6 }),
    families: familiesOf(network),
  };
}

type Listing = Pick<ActualState, "links" | "addresses" | "routes">;

export interface Choice {
  readonly name: string;
  readonly why: string;
  /** The addresses by which it was chosen. */
  readonly addresses: readonly IpAddress[];
  /** An option asked for addresses: the interface serves only while it has such ones. */
  readonly pin?: Pin;
}

export interface Pin {
  /** `--iface 192.168.100.11` */
  readonly option: string;
  readonly matches: (address: IpAddress) => boolean;
  readonly families: readonly IpFamily[];
}

/**
 * The interface by which the other nodes are reached, as Flannel chooses it: the one named by --iface, or owning that
 * address; then --iface-regex; then --iface-can-reach; without any of these the one that owns --public-ip, or else the
 * default route's. Unlike Flannel, a public address that no interface has is taken for one behind NAT.
 * @param routeTo the route to an address @throws {AgentError}
 */
export function chooseInterface(
  listing: Listing,
  options: InterfaceOptions,
  routeTo: (address: IpAddress) => Pick<Route, "oif" | "prefSrc"> | undefined,
): Choice {
  return (
    named(listing, options) ??
    matching(listing, options) ??
    reaching(listing, options, routeTo) ??
    refuseAll(listing, options) ??
    byDefault(listing, options)
  );
}

function named(listing: Listing, { iface }: InterfaceOptions): Choice | undefined {
  for (const wanted of iface) {
    const why = `--iface ${wanted}`;
    const link = listing.links.find((l) => l.name === wanted);
    if (link) return { name: link.name, why, addresses: [] };
    const owned = ownerOf(listing, wanted);
    if (!owned) continue;
    const { address } = owned;
    const pin = { option: why, matches: (other: IpAddress) => other === address, families: [familyOf(address)] };
    return { name: owned.link.name, why, addresses: [address], pin };
  }
  return undefined;
}

/** All addresses before any name. With both families, an interface has to have a matching address of each. */
function matching(listing: Listing, { ifaceRegex = [], families }: InterfaceOptions): Choice | undefined {
  for (const regex of ifaceRegex) {
    const why = `--iface-regex ${regex.source}`;
    for (const link of listing.links) {
      const addresses = families
        .map((family) => usable(listing.addresses, link, family).find((address) => regex.test(address)))
        .filter((address) => address !== undefined);
      const pin = { option: why, matches: (address: IpAddress) => regex.test(address), families };
      if (addresses.length === families.length) return { name: link.name, why, addresses, pin };
    }
    const link = listing.links.find(({ name }) => regex.test(name));
    if (link) return { name: link.name, why, addresses: [] };
  }
  return undefined;
}

function reaching(
  listing: Listing,
  { ifaceCanReach }: InterfaceOptions,
  routeTo: Parameters<typeof chooseInterface>[2],
): Choice | undefined {
  const route = ifaceCanReach && routeTo(ifaceCanReach);
  const link = listing.links.find((l) => l.index === route?.oif);
  if (!route || !link) return undefined;
  return { name: link.name, why: `it leads to ${ifaceCanReach}`, addresses: route.prefSrc ? [route.prefSrc] : [] };
}

/** When an interface was asked for, no other will do. */
function refuseAll(listing: Listing, { iface, ifaceRegex = [], ifaceCanReach }: InterfaceOptions): undefined {
  const asked = [
    ...(iface.length > 0 ? [`--iface ${iface.join(", ")}: no interface has such a name or address`] : []),
    ...ifaceRegex.map((regex) => `--iface-regex ${regex.source}: no interface's address or name matches`),
    ...(ifaceCanReach ? [`--iface-can-reach ${ifaceCanReach}: no interface leads there`] : []),
  ];
  if (asked.length > 0) throw new AgentError(`Cannot use ${asked.join("; ")}; there are ${summary(listing)}`);
}

function byDefault(listing: Listing, options: InterfaceOptions): Choice {
  for (const address of [options.publicIp, options.publicIpv6]) {
    const owned = address && ownerOf(listing, address);
    if (owned) return { name: owned.link.name, why: `it has the public address ${address}`, addresses: [] };
  }
  const family = options.families[0] ?? 4;
  const index = defaultRouteInterface(listing, family);
  const link = listing.links.find((l) => l.index === index);
  if (link) return { name: link.name, why: `the IPv${family} default route goes there`, addresses: [] };
  throw new AgentError(
    `Cannot choose the interface to the other nodes: there is no IPv${family} default route; ` +
      `name one with --iface, of ${summary(listing)}`,
  );
}

/** Pods with addresses of the nodes' own network would cut the nodes off from each other. @throws {AgentError} */
export function refuseOverlap(
  network: NetworkConfig,
  { name, index }: ExternalInterface,
  addresses: readonly Address[],
  configKey: string,
): void {
  for (const { prefix } of addresses.filter((address) => address.index === index)) {
    const pool = prefixFamily(prefix) === 4 ? network.ipv4 : network.ipv6;
    if (!pool) continue;
    const [first, last] = [pool.subnetMin.address, lastAddress(pool.subnetMax)];
    if (compareIp(first, lastAddress(prefix)) > 0 || compareIp(maskPrefix(prefix).address, last) > 0) continue;
    throw new AgentError(
      `Cannot give out subnets from ${first} to ${last}: they overlap with ${formatPrefix(prefix)}, the nodes' own network ` +
        `on ${name}; choose another Network, or limit it by SubnetMin and SubnetMax (the network config is ${configKey} in the store)`,
    );
  }
}

/** The interface as it is now; undefined while it is not there. @throws {AgentError} when it can never serve */
export function describeInterface(
  listing: Listing,
  name: string,
  options: InterfaceOptions,
): ExternalInterface | undefined {
  const link = listing.links.find((l) => l.name === name);
  if (!link) return undefined;
  if (link.mtu === 0)
    throw new AgentError(`Cannot use interface ${name}: its MTU is 0; set one with ip link set ${name} mtu`);
  const [hasV4, hasV6] = [options.families.includes(4), options.families.includes(6)];
  const address = hasV4 ? usable(listing.addresses, link, 4, options.prefer).find(isIpv4) : undefined;
  const ipv6Address = hasV6 ? usable(listing.addresses, link, 6, options.prefer).find(isIpv6) : undefined;
  const publicIp = hasV4 ? (options.publicIp ?? address) : undefined;
  const publicIpv6 = hasV6 ? (options.publicIpv6 ?? ipv6Address) : undefined;
  return {
    name,
    index: link.index,
    mtuBytes: link.mtu,
    ...(address && { address }),
    ...(ipv6Address && { ipv6Address }),
    ...(publicIp && { publicIp }),
    ...(publicIpv6 && { publicIpv6 }),
  };
}

/** The interface's addresses one can be reached by, the best first: preferred, global, permanent, not temporary. */
function usable(
  addresses: readonly Address[],
  link: Link,
  family: IpFamily,
  prefer: readonly IpAddress[] = [],
): IpAddress[] {
  const rank = (a: Address): number =>
    (prefer.includes(a.prefix.address) ? 0 : 8) +
    (a.scope === RT_SCOPE_UNIVERSE ? 0 : 4) +
    (a.flags & IFA_F_PERMANENT ? 0 : 2) +
    // The same bit is `secondary` for IPv4, which is as good as the first for our purpose, but later.
    (a.flags & IFA_F_TEMPORARY ? 1 : 0);
  return addresses
    .filter((a) => a.index === link.index && prefixFamily(a.prefix) === family && !(a.flags & IFA_F_DEPRECATED))
    .filter((a) => a.scope === RT_SCOPE_UNIVERSE || a.scope === RT_SCOPE_LINK)
    .sort((a, b) => rank(a) - rank(b))
    .map((a) => a.prefix.address);
}

function ownerOf(listing: Listing, wanted: string): { link: Link; address: IpAddress } | undefined {
  const owner = listing.addresses.find((a) => a.prefix.address === wanted);
  const link = owner && listing.links.find((l) => l.index === owner.index);
  return link && { link, address: owner.prefix.address };
}

function defaultRouteInterface(listing: Listing, family: IpFamily): number | undefined {
  const defaults = listing.routes.filter(
    (r) => r.family === family && (r.dst === undefined || r.dst.length === 0) && r.type === RTN_UNICAST,
  );
  const [best] = defaults.sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0));
  return best?.oif ?? best?.multipath?.[0]?.oif;
}

function summary(listing: Listing): string {
  const parts = listing.links
    .filter((link) => link.name !== "lo")
    .map((link) => {
      const own = listing.addresses.filter((a) => a.index === link.index).map((a) => a.prefix.address);
      return own.length > 0 ? `${link.name} (${own.join(", ")})` : link.name;
    });
  return parts.join(", ") || "none";
}
