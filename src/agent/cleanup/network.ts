// What podpath and Flannel leave in a network namespace. Pure but for the removals: what is ours is told by name and kind,
// by protocol number and by table, never by guess.
import { formatPrefix, type Prefix, prefixContains, prefixesEqual } from "../../formats/netip/index.ts";
import {
  deleteLink,
  deleteNexthop,
  type Link,
  type Route,
  RT_TABLE_MAIN,
  RTN_BLACKHOLE,
  RTN_UNICAST,
  RTPROT_BOOT,
} from "../../formats/netlink/index.ts";
import { GATEWAY_TABLE, gatewayCleanup } from "../../gateway/index.ts";
import { deleteExactly, RTPROT_PODPATH } from "../../host/index.ts";
import { isNotFound, isUnsupported, Nft, type Rtnl } from "../../kernel/index.ts";
import { findMasquerade } from "../../masquerade/index.ts";
import { messageOf } from "../errors.ts";
import { hasTable } from "../leftovers.ts";
import type { Found, Remains } from "./remains.ts";

/** Names and kinds of the devices of all of Flannel's backends. */
const DEVICES: readonly { readonly name: RegExp; readonly kind: string }[] = [
  { name: /^flannel(-v6)?\.\d+$/, kind: "vxlan" },
  { name: /^flannel\d+$/, kind: "tun" },
  { name: /^flannel-wg(-v6)?$/, kind: "wireguard" },
  { name: /^flannel\.ipip$/, kind: "ipip" },
];

export function kindOf({ kind }: Link): string | undefined {
  return kind?.kind === "other" ? kind.name : kind?.kind;
}

export function findDevices(rtnl: Rtnl): Found {
  const named = rtnl.links().flatMap((link) => {
    const device = DEVICES.find(({ name }) => name.test(link.name));
    return device ? [{ link, isOurs: kindOf(link) === device.kind }] : [];
  });
  return {
    ours: named
      .filter(({ isOurs }) => isOurs)
      .map(({ link: { name, index } }) => ({
        what: `device ${name}`,
        remove: () => rtnl.executeAsync(deleteLink({ index }), { tolerate: isNotFound }),
      })),
    left: named
      .filter(({ isOurs }) => !isOurs)
      .map(({ link }) => `device ${link.name}: it is ${kindOf(link) ?? "a real one"}, which nothing of ours is`),
  };
}

/** Whose subnets those are, as subnet.env and the leases tell. */
export interface ClusterRoutes {
  /** The cluster's networks. */
  readonly networks: readonly Prefix[];
  /** This node's own subnets. */
  readonly own: readonly Prefix[];
  /** `10.244.2.0/24 192.168.100.12`: the routes that Flannel's host-gw makes, which bear no mark. */
  readonly byPublicIp: ReadonlySet<string>;
}

/** Ours by protocol number; Flannel's by where they lead. What goes with a device is not listed by itself. */
export function findRoutes(rtnl: Rtnl, cluster: ClusterRoutes): Found {
  const devices = new Set(
    rtnl
      .links()
      .filter((link) => DEVICES.some(({ name, kind }) => name.test(link.name) && kind === kindOf(link)))
      .map(({ index }) => index),
  );
  const others = rtnl.routes().filter(({ dst, oif }) => dst && !(oif !== undefined && devices.has(oif)));
  const isOurs = (route: Route): boolean =>
    route.protocol === RTPROT_PODPATH || isFlannels(route, cluster) || isBlackholeOf(route, cluster.own);
  const isForeign = ({ dst, gateway, table, type }: Route): boolean =>
    table === RT_TABLE_MAIN &&
    type === RTN_UNICAST &&
    gateway !== undefined &&
    cluster.networks.some((network) => dst && prefixContains(network, dst.address));
  return {
    ours: [
      ...others.filter(isOurs).map(
        (route): Remains => ({
          what: `route ${describe(route)}`,
          remove: () => rtnl.execute(deleteExactly(route), { tolerate: isNotFound }),
        }),
      ),
      ...nexthops(rtnl)
        .filter(({ protocol }) => protocol === RTPROT_PODPATH)
        .map(({ id }) => ({
          what: `nexthop ${id}`,
          remove: () => rtnl.execute(deleteNexthop({ id }), { tolerate: isNotFound }),
        })),
    ],
    left: others
      .filter((route) => !isOurs(route) && isForeign(route))
      .map(
        (route) =>
          `route ${describe(route)}: it bears no mark of ours; if Flannel made it, ip route del ${describe(route)}`,
      ),
  };
}

function nexthops(rtnl: Rtnl): ReturnType<Rtnl["nexthops"]> {
  try {
    return rtnl.nexthops();
  } catch (error) {
    if (isUnsupported(error)) return []; // before Linux 5.3
    throw error;
  }
}

function isFlannels({ dst, gateway, protocol }: Route, { byPublicIp }: ClusterRoutes): boolean {
  return protocol === RTPROT_BOOT && dst !== undefined && byPublicIp.has(`${formatPrefix(dst)} ${gateway}`);
}

/** Flannel's --ip-blackhole-route. */
function isBlackholeOf({ dst, type }: Route, own: readonly Prefix[]): boolean {
  return type === RTN_BLACKHOLE && own.some((subnet) => dst !== undefined && prefixesEqual(dst, subnet));
}

function describe({ dst, gateway, type, priority }: Route): string {
  const to = dst ? formatPrefix(dst) : "default";
  return `${type === RTN_BLACKHOLE ? "blackhole " : ""}${to}${gateway ? ` via ${gateway}` : ""}${priority ? ` metric ${priority}` : ""}`;
}

/** @param nft undefined where there is no nftables; rules of iptables there may be all the same */
export async function findRules(nft: Nft | undefined): Promise<Found> {
  const masquerade = await findMasquerade({ nft });
  const gateway = ([4, 6] as const)
    .map((version) => ({ version, family: version === 4 ? "ip" : "ip6" }))
    .filter(({ family }) => nft && hasTable(nft, family, GATEWAY_TABLE))
    .map(({ version, family }) => ({
      what: `table ${family} ${GATEWAY_TABLE}`,
      remove: () => nft?.apply(gatewayCleanup(version)),
    }));
  return { ours: [...masquerade.ours, ...gateway], left: masquerade.left };
}

/** The pods' bridge and what of theirs is on it. */
export function findBridge(rtnl: Rtnl, name: string): Found {
  const bridge = rtnl.link(name);
  if (!bridge) return { ours: [], left: [] };
  if (kindOf(bridge) !== "bridge") return { ours: [], left: [`device ${name}: it is no bridge`] };
  const ports = rtnl.links().filter(({ master }) => master === bridge.index);
  const pods = ports.filter((port) => kindOf(port) === "veth");
  const remove = (index: number) => () => rtnl.executeAsync(deleteLink({ index }), { tolerate: isNotFound });
  return {
    ours: [...pods, bridge].map((link) => ({
      what: link === bridge ? `bridge ${name}` : `pod interface ${link.name}`,
      remove: remove(link.index),
    })),
    left: ports.filter((port) => kindOf(port) !== "veth").map((port) => `device ${port.name}, a port of ${name}`),
  };
}

/** Opens what the kernel has of nftables; undefined, with the reason, where there is none. */
export function openNft(left: string[]): Nft | undefined {
  try {
    return Nft.open();
  } catch (error) {
    left.push(`nftables: ${messageOf(error)}`);
    return undefined;
  }
}
