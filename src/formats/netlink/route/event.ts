import type { IpFamily } from "../../netip/index.ts";
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

/** Which multicast group announces what of which family (include/uapi/linux/rtnetlink.h RTNLGRP_*); some know no family. */
export const RTNLGRP: Readonly<Record<RtnlEvent["of"], Readonly<Record<IpFamily, number>>>> = {
  link: { 4: 1, 6: 1 },
  address: { 4: 5, 6: 9 },
  route: { 4: 7, 6: 11 },
  neighbour: { 4: 3, 6: 3 },
  fdb: { 4: 3, 6: 3 },
  nexthop: { 4: 32, 6: 32 },
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
