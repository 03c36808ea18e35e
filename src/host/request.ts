import { prefixFamily } from "../formats/netip/index.ts";
import {
  deleteAddress,
  deleteFdb,
  deleteNeighbour,
  deleteNexthop,
  deleteRoute,
  IFA_F_NODAD,
  newAddress,
  newNexthop,
  newRoute,
  type Request,
  type Route,
  RTN_BLACKHOLE,
  replaceFdb,
  replaceNeighbour,
  replaceRoute,
  setLink,
} from "../formats/netlink/index.ts";
import type { Change } from "./change.ts";
import { BLACKHOLE_PRIORITY } from "./ownership.ts";
import { RTPROT_PODPATH } from "./state.ts";

/** The netlink request that carries a change out. */
export function toRequest(change: Change): Request {
  switch (change.change) {
    case "set-up":
      return setLink({ index: change.index, isUp: true });
    case "add-address":
      // A lease made it ours alone; asking the link about it for a second (RFC 4862 §5.4) would only delay its use.
      return newAddress({
        index: change.index,
        prefix: change.prefix,
        ...(prefixFamily(change.prefix) === 6 && { flags: IFA_F_NODAD }),
      });
    case "replace-neighbour":
      return replaceNeighbour(change.neighbour);
    case "replace-fdb":
      return replaceFdb(change.fdb);
    case "add-nexthop":
      return newNexthop({ ...change.nexthop, family: 4, protocol: RTPROT_PODPATH });
    case "replace-route": {
      const { dst } = change.route;
      const way = change.nexthopId === undefined ? change.route : { dst, nexthopId: change.nexthopId };
      return replaceRoute({ ...way, family: prefixFamily(dst), protocol: RTPROT_PODPATH });
    }
    case "add-blackhole":
      // Not replacing: what has this metric and is not ours is somebody's.
      return newRoute({
        family: prefixFamily(change.dst),
        dst: change.dst,
        type: RTN_BLACKHOLE,
        priority: BLACKHOLE_PRIORITY,
        protocol: RTPROT_PODPATH,
      });
    case "delete-route":
      return deleteExactly(change.route);
    case "delete-nexthop":
      return deleteNexthop(change.nexthop);
    case "delete-fdb":
      return deleteFdb(change.fdb);
    case "delete-neighbour":
      return deleteNeighbour(change.neighbour);
    case "delete-address":
      return deleteAddress(change);
  }
}

/** Whether the change takes something away, so that its being gone already is as good. */
export function isRemoval(change: Change): boolean {
  return change.change.startsWith("delete-");
}

/**
 * Deletes this route and no other with the same destination. A route that names a nexthop object has no way of its own
 * to tell it by.
 */
export function deleteExactly(route: Route): Request {
  const { family, dst, table, protocol, scope, type, priority, tos, nexthopId } = route;
  const way = nexthopId === undefined ? { gateway: route.gateway, oif: route.oif } : { nexthopId };
  return deleteRoute({ family, dst, table, protocol, scope, type, priority, tos, ...way });
}
