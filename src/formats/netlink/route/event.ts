import * as c from "../constants.ts";
import type { Message } from "../message.ts";
import { type Address, decodeAddress } from "./address.ts";
import { decodeFdb, type FdbEntry } from "./fdb.ts";
import { decodeLink, type Link } from "./link.ts";
import { decodeNeighbour, type Neighbour } from "./neighbour.ts";
import { decodeNexthop, type Nexthop } from "./nexthop.ts";
import { decodeRoute, type Route } from "./route.ts";

type Change = "new" | "delete";

/** What the kernel announced: an object came or changed (`new`), or went (`delete`). */
export type RtnlEvent =
  | { readonly change: Change; readonly of: "link"; readonly link: Link }
  | { readonly change: Change; readonly of: "address"; readonly address: Address }
  | { readonly change: Change; readonly of: "route"; readonly route: Route }
  | { readonly change: Change; readonly of: "neighbour"; readonly neighbour: Neighbour }
  | { readonly change: Change; readonly of: "fdb"; readonly fdb: FdbEntry }
  | { readonly change: Change; readonly of: "nexthop"; readonly nexthop: Nexthop };

/** Which multicast groups announce what (include/uapi/linux/rtnetlink.h RTNLGRP_*). */
export const RTNLGRP: Readonly<Record<RtnlEvent["of"], readonly number[]>> = {
  link: [1],
  address: [5, 9],
  route: [7, 11],
  neighbour: [3],
  fdb: [3],
  nexthop: [32],
};

/** Reads a notification; undefined for one that is none of ours. @throws {DecodeError} */
export function decodeEvent(message: Message): RtnlEvent | undefined {
  const change: Change = message.type % 4 === 0 ? "new" : "delete";
  const af = message.payload[0];
  const isIp = af === c.AF_INET || af === c.AF_INET6;
  switch (message.type) {
    case c.RTM_NEWLINK:
    case c.RTM_DELLINK:
      // The same numbers with AF_BRIDGE tell of a bridge's port: there RTM_DELLINK means that a device, which lives
      // on, has left its bridge.
      return af === c.AF_UNSPEC ? { change, of: "link", link: decodeLink(message) } : undefined;
    case c.RTM_NEWADDR:
    case c.RTM_DELADDR:
      return isIp ? { change, of: "address", address: decodeAddress(message) } : undefined;
    case c.RTM_NEWROUTE:
    case c.RTM_DELROUTE:
      return isIp ? { change, of: "route", route: decodeRoute(message) } : undefined;
    case c.RTM_NEWNEIGH:
    case c.RTM_DELNEIGH:
      if (af === c.AF_BRIDGE) return { change, of: "fdb", fdb: decodeFdb(message) };
      return isIp ? { change, of: "neighbour", neighbour: decodeNeighbour(message) } : undefined;
    case c.RTM_NEWNEXTHOP:
    case c.RTM_DELNEXTHOP:
      return { change, of: "nexthop", nexthop: decodeNexthop(message) };
    default:
      return undefined;
  }
}
