import type { ExternalInterface } from "../backend/index.ts";
import type { NetworkConfig } from "../formats/flannel/index.ts";
import {
  compareIp,
  formatPrefix,
  type IpFamily,
  type Ipv4Address,
  type Ipv6Address,
  isIpv4,
  isIpv6,
  lastAddress,
  maskPrefix,
  prefixFamily,
} from "../formats/netip/index.ts";
import type { Address, Link } from "../formats/netlink/index.ts";
import { RT_SCOPE_LINK, RT_SCOPE_UNIVERSE, RTN_UNICAST } from "../formats/netlink/index.ts";
import type { ActualState } from "../host/index.ts";
import { AgentError } from "./errors.ts";

// include/uapi/linux/if_addr.h
const IFA_F_TEMPORARY = 0x01;
const IFA_F_DEPRECATED = 0x20;
const IFA_F_PERMANENT = 0x80;

export interface InterfaceOptions {
  /** Names or addresses; the first that is there wins. Empty: see chooseInterface(). */
  readonly iface: readonly string[];
  readonly publicIp?: Ipv4Address;
  readonly publicIpv6?: Ipv6Address;
  /** The families the network config enables. */
  readonly families: readonly IpFamily[];
}

type Listing = Pick<ActualState, "links" | "addresses" | "routes">;

/**
 * The interface by which the other nodes are reached, as Flannel chooses it: the one named by --iface, or owning that
 * address; else the one that owns --public-ip; else the default route's. Unlike Flannel, a public address that no
 * interface has is taken for one behind NAT. @throws {AgentError}
 */
export function chooseInterface(listing: Listing, options: InterfaceOptions): { name: string; why: string } {
  for (const wanted of options.iface) {
    const link = listing.links.find((l) => l.name === wanted) ?? ownerOf(listing, wanted);
    if (link) return { name: link.name, why: `--iface ${wanted}` };
  }
  if (options.iface.length > 0)
    throw new AgentError(
      `Cannot use --iface ${options.iface.join(", ")}: no interface has such a name or address; there are ${summary(listing)}`,
    );
  for (const address of [options.publicIp, options.publicIpv6]) {
    const link = address && ownerOf(listing, address);
    if (link) return { name: link.name, why: `it has the public address ${address}` };
  }
  const family = options.families[0] ?? 4;
  const index = defaultRouteInterface(listing, family);
  const link = listing.links.find((l) => l.index === index);
  if (link) return { name: link.name, why: `the IPv${family} default route goes there` };
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
  const address = hasV4 ? usable(listing.addresses, link, 4).find(isIpv4) : undefined;
  const ipv6Address = hasV6 ? usable(listing.addresses, link, 6).find(isIpv6) : undefined;
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

/** The interface's addresses one can be reached by, the best first: global, permanent, not temporary. */
function usable(addresses: readonly Address[], link: Link, family: IpFamily): Address["prefix"]["address"][] {
  const rank = (a: Address): number =>
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

function ownerOf(listing: Listing, address: string): Link | undefined {
  const owner = listing.addresses.find((a) => a.prefix.address === address);
  return owner && listing.links.find((l) => l.index === owner.index);
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
