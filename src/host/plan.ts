import { formatPrefix, type Prefix, prefixContains, prefixesEqual } from "../formats/netip/index.ts";
import { type Address, type FdbEntry, type Neighbour, type Route, RTN_UNICAST } from "../formats/netlink/index.ts";
import type { Change, Conflict, Plan, Step } from "./change.ts";
import { Claims, type Parts } from "./claims.ts";
import { Inventory } from "./inventory.ts";
import { idleNexthops, NEXTHOPS_PAY_FROM, Nexthops, pays } from "./nexthops.ts";
import { isOwnBlackhole, isPermanent, Ownership } from "./ownership.ts";
import {
  type ActualState,
  RTPROT_PODPATH,
  type WantedDevice,
  type WantedPeer,
  type WantedRoute,
  type WantedState,
} from "./state.ts";

export interface PlanOptions {
  /** From how many IPv4 routes on they name nexthop objects. */
  readonly nexthopsFrom?: number;
}

/** What to change so that `wanted` is. Pure; no steps means that nothing has to change. */
export function plan(actual: ActualState, wanted: WantedState, options?: PlanOptions): Plan {
  return planAll(new Inventory(actual), wanted, new Claims(), options);
}

/** The same. @param claims empty; holds who has what afterwards */
export function planAll(
  is: Inventory,
  wanted: WantedState,
  claims: Claims,
  { nexthopsFrom = NEXTHOPS_PAY_FROM }: PlanOptions = {},
): Plan {
  const nexthops = new Nexthops(is, pays(is, wanted, nexthopsFrom), idleNexthops(is));
  const planning = new Planning(is, wanted, claims, nexthops);
  for (const device of wanted.devices) planning.device(device);
  for (const { name, routes } of wanted.devices)
    if (routes) planning.owner(`routes of device ${name}`, { neighbours: [], fdb: [], routes });
  for (const peer of wanted.peers) planning.owner(peerName(peer), peer);
  for (const dst of wanted.blackholes ?? []) planning.blackhole(dst);
  planning.stale(is);
  planning.staleAddresses(is.addresses);
  return planning.plan();
}

/**
 * The part of it that is about `peers`, where everything else is as wanted already. undefined: two peers want one place,
 * and only planAll() can tell who has it.
 * @param before the same peers as they were wanted so far; who is not in `peers` has gone
 * @param claims as planAll() left them, and this; of no use any more when there is no plan
 */
export function planPeers(
  is: Inventory,
  wanted: WantedState,
  { claims, peers, before }: { claims: Claims; peers: readonly WantedPeer[]; before: readonly WantedPeer[] },
): Plan | undefined {
  const planning = new Planning(is, wanted, claims, new Nexthops(is, pays(is, wanted, NEXTHOPS_PAY_FROM), []));
  for (const peer of before) claims.release(peerName(peer), peer);
  for (const peer of peers) if (planning.owner(peerName(peer), peer) === "contested") return undefined;
  planning.stale({
    routes: before.flatMap((peer) => peer.routes.flatMap((route) => is.inPlaceOf(route))),
    fdb: before.flatMap((peer) => peer.fdb.flatMap((entry) => is.fdbOf(entry))),
    neighbours: before.flatMap((peer) => peer.neighbours.flatMap((neighbour) => is.neighbour(neighbour) ?? [])),
  });
  return planning.plan();
}

export function peerName({ key }: Pick<WantedPeer, "key">): string {
  return `peer ${key}`;
}

/** A plan in the making. */
class Planning {
  readonly #steps: Step[] = [];
  readonly #conflicts: Conflict[] = [];
  readonly #is: Inventory;
  readonly #wanted: WantedState;
  readonly #owns: Ownership;
  readonly #claims: Claims;
  readonly #nexthops: Nexthops;

  constructor(is: Inventory, wanted: WantedState, claims: Claims, nexthops: Nexthops) {
    this.#is = is;
    this.#wanted = wanted;
    this.#owns = new Ownership(wanted);
    this.#claims = claims;
    this.#nexthops = nexthops;
  }

  plan(): Plan {
    return { steps: this.#steps, conflicts: this.#conflicts };
  }

  device(device: WantedDevice): void {
    const { index, addresses } = device;
    const has = this.#is.addresses.filter((address) => address.index === index);
    this.#add(`device ${device.name}`, [
      ...(this.#is.link(index)?.isUp ? [] : [{ change: "set-up" as const, index }]),
      ...addresses
        .filter((prefix) => !has.some((address) => prefixesEqual(address.prefix, prefix)))
        .map((prefix) => ({ change: "add-address" as const, index, prefix })),
    ]);
  }

  blackhole(dst: Prefix): void {
    if (!this.#is.otherRoutes().some((route) => isOwnBlackhole(route) && route.dst && prefixesEqual(route.dst, dst)))
      this.#add(`blackhole route ${formatPrefix(dst)}`, [{ change: "add-blackhole", dst }]);
  }

  /** @returns why it cannot be */
  owner(of: string, parts: Parts): "contested" | "foreign" | undefined {
    const contested = this.#claims.claim(of, parts);
    const why = contested ?? this.#foreignRoute(parts.routes);
    if (why === undefined) this.#add(of, this.#ownerChanges(parts));
    else this.#conflicts.push({ of, why });
    return contested !== undefined ? "contested" : why === undefined ? undefined : "foreign";
  }

  /** Takes away what is ours of these and what nobody claims. */
  stale(found: {
    readonly routes: readonly Route[];
    readonly fdb: readonly FdbEntry[];
    readonly neighbours: readonly Neighbour[];
  }): void {
    for (const route of found.routes) {
      if (this.#isClaimed(route) || !this.#owns.route(route)) continue;
      this.#nexthops.lose(route);
      const name = route.dst ? formatPrefix(route.dst) : "default";
      this.#add(`stale route ${name}`, [{ change: "delete-route", route }]);
    }
    for (const nexthop of this.#nexthops.stale())
      this.#add(`stale nexthop ${nexthop.id}`, [{ change: "delete-nexthop", nexthop }]);
    for (const fdb of found.fdb)
      if (!this.#claims.fdb(fdb) && this.#owns.fdb(fdb))
        this.#add(`stale FDB entry ${fdb.lladdr}`, [{ change: "delete-fdb", fdb }]);
    for (const neighbour of found.neighbours)
      if (!this.#claims.neighbour(neighbour) && this.#owns.neighbour(neighbour))
        this.#add(`stale neighbour ${neighbour.address}`, [{ change: "delete-neighbour", neighbour }]);
  }

  staleAddresses(found: readonly Address[]): void {
    for (const address of found) {
      const { index, prefix } = address;
      const device = this.#wanted.devices.find((candidate) => candidate.index === index);
      const isWanted = device?.addresses.some((wanted) => prefixesEqual(wanted, prefix));
      if (!isWanted && this.#owns.address(address))
        this.#add(`stale address ${formatPrefix(prefix)}`, [{ change: "delete-address", index, prefix }]);
    }
  }

  /** A route of another metric or tos is in nobody's place. */
  #isClaimed(route: Route): boolean {
    const { dst } = route;
    if (dst && isOwnBlackhole(route)) return this.#wanted.blackholes?.some((b) => prefixesEqual(b, dst)) ?? false;
    return dst !== undefined && this.#claims.route({ dst }) && this.#is.inPlaceOf({ dst }).includes(route);
  }

  #add(of: string, changes: readonly Change[]): void {
    if (changes.length > 0) this.#steps.push({ of, changes });
  }

  /** A route that is not ours, in the place where one of the peer's has to be. */
  #foreignRoute(wanted: readonly WantedRoute[]): string | undefined {
    for (const route of wanted) {
      const inPlace = this.#is.inPlaceOf(route);
      if (inPlace.some((other) => sameWay(other, route))) continue;
      const foreign = inPlace.find((other) => !this.#owns.route(other) && !this.#owns.mayAdopt(other));
      if (foreign)
        return (
          `route ${formatPrefix(route.dst)} (protocol ${foreign.protocol}) is somebody else's and leads elsewhere; ` +
          `delete it with: ip route del ${formatPrefix(route.dst)} proto ${foreign.protocol}`
        );
    }
    return undefined;
  }

  #ownerChanges({ neighbours, fdb, routes }: Parts): Change[] {
    const changes: Change[] = [];
    for (const neighbour of neighbours) {
      const entry = this.#is.neighbour(neighbour);
      if (entry?.lladdr !== neighbour.lladdr || !isPermanent(entry))
        changes.push({ change: "replace-neighbour", neighbour });
    }
    for (const wanted of fdb) {
      const [entry, ...more] = this.#is.fdbOf(wanted);
      // The kernel's replace changes one destination and leaves the others.
      for (const other of more) changes.push({ change: "delete-fdb", fdb: other });
      if (entry?.dst !== wanted.dst || !isPermanent(entry)) changes.push({ change: "replace-fdb", fdb: wanted });
    }
    for (const route of routes) {
      const inPlace = this.#is.inPlaceOf(route);
      if (inPlace.some((other) => satisfies(other, route, this.#owns))) continue;
      for (const other of inPlace) if (forbids(other, route)) changes.push({ change: "delete-route", route: other });
      changes.push(...this.#nexthops.replace(route));
    }
    return changes;
  }
}

/** Leads where `wanted` does, whoever's it is, and however it is spelled: by nexthop object or without. */
function sameWay(route: Route, wanted: WantedRoute): boolean {
  return (
    route.type === RTN_UNICAST &&
    route.gateway === wanted.gateway &&
    route.oif === wanted.oif &&
    route.onlink === wanted.onlink
  );
}

/**
 * The route stands in its own successor's way: IPv6 takes a gateway for onlink only where no other device's route leads to
 * it (net/ipv6/route.c, ip6_route_check_nh_onlink), and the gateway is within the subnet.
 */
function forbids(route: Route, { dst, gateway, oif, onlink }: WantedRoute): boolean {
  return route.family === 6 && onlink && gateway !== undefined && prefixContains(dst, gateway) && route.oif !== oif;
}

/** As `wanted`; on our device it has to be ours by protocol too, elsewhere a stranger's that leads there serves as well. */
function satisfies(route: Route, wanted: WantedRoute, owns: Ownership): boolean {
  return sameWay(route, wanted) && (route.protocol === RTPROT_PODPATH || !owns.device(route.oif));
}
