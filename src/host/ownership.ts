import { type IpAddress, type Prefix, prefixContains } from "../formats/netip/index.ts";
import {
  type Address,
  type FdbEntry,
  type Neighbour,
  NTF_SELF,
  NUD_PERMANENT,
  type Route,
  RT_TABLE_MAIN,
  RTN_BLACKHOLE,
  RTN_UNICAST,
} from "../formats/netlink/index.ts";
import { RTPROT_PODPATH, type WantedState } from "./state.ts";

/**
 * The metric of our blackhole routes: last of all, so that the bridge's connected route (metric 0) wins, whichever of
 * the two was first. The value is the one the kernel's own documentation gives a route of last resort
 * (Documentation/networking/vrf.rst).
 */
export const BLACKHOLE_PRIORITY = 4278198272;

/** Whether podpath made it: it has no device to know it by, but our protocol number and metric. */
export function isOwnBlackhole({ type, protocol, priority }: Route): boolean {
  return type === RTN_BLACKHOLE && protocol === RTPROT_PODPATH && priority === BLACKHOLE_PRIORITY;
}

export function isPermanent(entry: { readonly state: number }): boolean {
  return (entry.state & NUD_PERMANENT) !== 0;
}

/** Tells what is ours to change and to remove from what is somebody else's. */
export class Ownership {
  readonly #devices: ReadonlySet<number>;
  readonly #ranges: readonly Prefix[];

  constructor(wanted: WantedState) {
    this.#devices = new Set(wanted.devices.map((device) => device.index));
    this.#ranges = wanted.ranges;
  }

  /** Our protocol number, on our device or to (or dropped in) the cluster's network; or, on our device, the routes Flannel left. */
  route(route: Route): boolean {
    if (route.table !== RT_TABLE_MAIN || !route.dst) return false;
    if (isOwnBlackhole(route)) return this.#covers(route.dst.address);
    if (route.type !== RTN_UNICAST) return false;
    const onOurDevice = this.device(route.oif);
    if (route.protocol === RTPROT_PODPATH) return onOurDevice || this.#covers(route.dst.address);
    // Flannel marks nothing; but nobody else routes a subnet onlink by the subnet's own first address (vxlan), or by a
    // gateway that is no pod's but a node's (ipip).
    if (!onOurDevice || !route.onlink || !route.gateway || !this.#covers(route.dst.address)) return false;
    return route.gateway === route.dst.address || !this.#covers(route.gateway);
  }

  /** On our own device we take over whatever stands where a route of ours has to be. */
  mayAdopt(route: Route): boolean {
    return this.device(route.oif) && route.type === RTN_UNICAST;
  }

  /** Permanent ones: the kernel makes and drops the others (IPv6 multicast, an unanswered ARP) as it likes. */
  neighbour(neighbour: Neighbour): boolean {
    return this.device(neighbour.index) && isPermanent(neighbour);
  }

  /** The zero MAC is the device's default destination, a setting of the device. */
  fdb(entry: FdbEntry): boolean {
    const isSelf = (entry.flags & NTF_SELF) !== 0;
    return this.device(entry.index) && isSelf && isPermanent(entry) && entry.lladdr !== "00:00:00:00:00:00";
  }

  address(address: Address): boolean {
    return this.device(address.index) && this.#covers(address.prefix.address);
  }

  device(index: number | undefined): boolean {
    return index !== undefined && this.#devices.has(index);
  }

  #covers(ip: IpAddress): boolean {
    return this.#ranges.some((range) => prefixContains(range, ip));
  }
}
