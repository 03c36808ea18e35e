import { type IpAddress, prefixContains, prefixFamily } from "../formats/netip/index.ts";
import { type Route, RTN_UNICAST, RTNH_F_DEAD } from "../formats/netlink/index.ts";
import { RTPROT_PODPATH } from "../host/index.ts";

/** The interface by which `ip route get` reaches the address with no gateway between; undefined: there is one, or no route. */
export function directInterface(address: IpAddress, routes: readonly Route[]): number | undefined {
  let best: Route | undefined;
  for (const route of routes) {
    if (route.protocol === RTPROT_PODPATH || route.family !== prefixFamily({ address })) continue;
    if (route.dst && !prefixContains(route.dst, address)) continue;
    // By a link that is down: the kernel passes over it, and so takes the next best.
    if ((route.flags & RTNH_F_DEAD) !== 0) continue;
    const [length, bestLength] = [route.dst?.length ?? 0, best?.dst?.length ?? 0];
    const isBetter = !best || length > bestLength;
    if (isBetter || (length === bestLength && (route.priority ?? 0) < (best?.priority ?? 0))) best = route;
  }
  const isDirect = best?.type === RTN_UNICAST && best.gateway === undefined && best.multipath === undefined;
  return isDirect ? best?.oif : undefined;
}
