import assert from "node:assert/strict";
import { isIpv4, type Prefix } from "../../formats/netip/index.ts";
import {
  type FdbEntry,
  NTF_SELF,
  NUD_PERMANENT,
  type Route,
  RT_TABLE_MAIN,
  RTN_BLACKHOLE,
  RTN_UNICAST,
} from "../../formats/netlink/index.ts";
import type { Change } from "../change.ts";
import { BLACKHOLE_PRIORITY } from "../ownership.ts";
import { type ActualState, RTPROT_PODPATH, type WantedRoute } from "../state.ts";

/** What the kernel has after it carried the change out (net/ipv4/fib_trie.c, net/core/neighbour.c, drivers/net/vxlan). */
export function applyChange(state: ActualState, change: Change): ActualState {
  switch (change.change) {
    case "set-up":
      return {
        ...state,
        links: state.links.map((link) => (link.index === change.index ? { ...link, isUp: true } : link)),
      };
    case "add-address":
      return {
        ...state,
        addresses: [...state.addresses, { index: change.index, prefix: change.prefix, scope: 0, flags: 0x80 }],
      };
    case "delete-address":
      return {
        ...state,
        addresses: state.addresses.filter(
          (a) =>
            a.index !== change.index ||
            a.prefix.address !== change.prefix.address ||
            a.prefix.length !== change.prefix.length,
        ),
      };
    case "replace-neighbour": {
      const { index, address } = change.neighbour;
      const others = state.neighbours.filter((n) => n.index !== index || n.address !== address);
      const entry = { ...change.neighbour, family: isIpv4(address) ? (4 as const) : (6 as const), flags: 0 };
      return { ...state, neighbours: [...others, { ...entry, state: NUD_PERMANENT }] };
    }
    case "delete-neighbour":
      return { ...state, neighbours: state.neighbours.filter((n) => n !== change.neighbour) };
    case "replace-fdb":
      return { ...state, fdb: replaceFirstDestination(state.fdb, change.fdb) };
    case "delete-fdb":
      return { ...state, fdb: state.fdb.filter((entry) => entry !== change.fdb) };
    case "replace-route":
      assert.ok(change.nexthopId === undefined || state.nexthops?.some(({ id }) => id === change.nexthopId), "EINVAL");
      return { ...state, routes: replaceFirstRoute(state.routes, change.route, change.nexthopId) };
    case "delete-route":
      return { ...state, routes: state.routes.filter((route) => route !== change.route) };
    case "add-blackhole":
      return { ...state, routes: [...state.routes, blackholeRoute(change.dst)] };
    case "add-nexthop": {
      assert.ok(state.nexthops, "EOPNOTSUPP");
      assert.ok(!state.nexthops.some(({ id }) => id === change.nexthop.id), "EEXIST");
      const nexthop = { ...change.nexthop, family: 4 as const, protocol: RTPROT_PODPATH, blackhole: false };
      return { ...state, nexthops: [...state.nexthops, nexthop] };
    }
    case "delete-nexthop": {
      const { id } = change.nexthop;
      return {
        ...state,
        nexthops: (state.nexthops ?? []).filter((nexthop) => nexthop.id !== id),
        // remove_nexthop() takes its routes with it.
        routes: state.routes.filter((route) => route.nexthopId !== id),
      };
    }
  }
}

/** As the kernel lists it: an IPv6 one hangs on lo. */
export function blackholeRoute(dst: Prefix): Route {
  const family = isIpv4(dst.address) ? 4 : 6;
  return {
    family,
    dst,
    ...(family === 6 && { oif: 1 }),
    table: RT_TABLE_MAIN,
    protocol: RTPROT_PODPATH,
    scope: 0,
    type: RTN_BLACKHOLE,
    tos: 0,
    priority: BLACKHOLE_PRIORITY,
    onlink: false,
    flags: 0,
  };
}

function replaceFirstDestination(
  fdb: readonly FdbEntry[],
  wanted: Pick<FdbEntry, "index" | "lladdr" | "dst">,
): readonly FdbEntry[] {
  const same = (entry: FdbEntry): boolean =>
    entry.index === wanted.index && entry.lladdr === wanted.lladdr && (entry.flags & NTF_SELF) !== 0;
  const entry = { ...wanted, flags: NTF_SELF, state: NUD_PERMANENT };
  const first = fdb.findIndex(same);
  // The state belongs to the MAC, not to the destination.
  const rest = fdb.map((other) => (same(other) ? { ...other, state: NUD_PERMANENT } : other));
  return first < 0 ? [...rest, entry] : rest.with(first, entry);
}

function replaceFirstRoute(
  routes: readonly Route[],
  wanted: WantedRoute,
  nexthopId: number | undefined,
): readonly Route[] {
  const { gateway, ...rest } = wanted;
  const route: Route = {
    ...rest,
    ...(gateway && { gateway }),
    ...(nexthopId !== undefined && { nexthopId }),
    family: isIpv4(wanted.dst.address) ? 4 : 6,
    table: RT_TABLE_MAIN,
    protocol: RTPROT_PODPATH,
    scope: 0,
    type: RTN_UNICAST,
    tos: 0,
    flags: 0,
  };
  const first = routes.findIndex(
    (other) =>
      other.dst?.address === wanted.dst.address &&
      other.dst.length === wanted.dst.length &&
      other.tos === 0 &&
      (other.priority ?? 0) === 0,
  );
  return first < 0 ? [...routes, route] : routes.with(first, route);
}
