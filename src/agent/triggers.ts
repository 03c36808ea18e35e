import { type Prefix, prefixContains } from "../formats/netip/index.ts";
import { RT_TABLE_MAIN, type RtnlEvent } from "../formats/netlink/index.ts";
import { RTPROT_PODPATH } from "../host/index.ts";

/** What the datapath stands on and consists of. */
export interface Interest {
  /** The external interface and the backend's devices. */
  readonly names: readonly string[];
  /** The same as they are numbered now. */
  readonly indexes: ReadonlySet<number>;
  /** The cluster's network. */
  readonly ranges: readonly Prefix[];
  /**
   * With a backend that follows the routes to the other nodes: the interfaces that these lead by. One that goes down
   * takes its IPv4 routes with it without a word of them.
   */
  readonly routesBy?: ReadonlySet<number> | undefined;
}

/** Whether the datapath stands on this link, or consists of it. */
export function isOfInterest(
  { name, index }: { readonly name: string; readonly index: number },
  of: Interest,
): boolean {
  return of.names.includes(name) || of.indexes.has(index);
}

/**
 * Whether the datapath may be another after this event, so that it is worth a look. Pods come and go on the same
 * node and talk to their neighbours; none of that is.
 */
export function mayMatter(event: RtnlEvent, interest: Interest): boolean {
  switch (event.of) {
    case "link":
      return isOfInterest(event.link, interest) || (interest.routesBy?.has(event.link.index) ?? false);
    case "address":
      return interest.indexes.has(event.address.index);
    case "neighbour":
      return interest.indexes.has(event.neighbour.index);
    case "fdb":
      return interest.indexes.has(event.fdb.index);
    case "nexthop":
      return (
        event.nexthop.protocol === RTPROT_PODPATH ||
        (event.nexthop.oif !== undefined && interest.indexes.has(event.nexthop.oif))
      );
    case "route": {
      const { dst, oif, protocol, table } = event.route;
      if (interest.routesBy && table === RT_TABLE_MAIN) return true;
      if (protocol === RTPROT_PODPATH || (oif !== undefined && interest.indexes.has(oif))) return true;
      return dst !== undefined && interest.ranges.some((range) => prefixContains(range, dst.address));
    }
  }
}
