import { isIpv4, type Prefix, prefixesEqual } from "../formats/netip/index.ts";
import {
  type Address,
  type FdbEntry,
  type Link,
  type Neighbour,
  type Nexthop,
  NTF_SELF,
  NUD_PERMANENT,
  type Route,
  RT_TABLE_MAIN,
  RTN_BLACKHOLE,
  RTN_UNICAST,
  type RtnlEvent,
} from "../formats/netlink/index.ts";
import type { Change } from "./change.ts";
import { BLACKHOLE_PRIORITY, isPermanent } from "./ownership.ts";
import { type ActualState, RTPROT_PODPATH, type WantedNexthop, type WantedRoute } from "./state.ts";
import { Table } from "./table.ts";

/** The metric a route has when nobody gave it one: 0 for IPv4, IP6_RT_PRIO_USER for IPv6. */
const DEFAULT_PRIORITY = { 4: 0, 6: 1024 } as const;

/** "pd" and zeros: far above what the kernel (from 1 on) and FRR number by themselves. */
const FIRST_NEXTHOP_ID = 0x7064_0000;

/**
 * What a namespace has, each thing where it is found by what only one can have: listed once, and since then kept up
 * with the changes that the kernel took from us. Whoever hears of other changes has to list anew.
 */
export class Inventory implements ActualState {
  readonly #links = new Map<number, Link>();
  readonly #addresses = new Table<Address[]>();
  /** By device and address. */
  readonly #neighbours = new Table<Neighbour>();
  /** By device and MAC: a vxlan device's table may hold several destinations for one; packets go to the first. */
  readonly #fdb = new Table<FdbEntry[]>();
  readonly #otherFdb: FdbEntry[] = [];
  /** By destination, of those that a wanted route would replace (fib_find_alias: destination, tos, priority). */
  readonly #routes = new Table<Route[]>();
  readonly #otherRoutes = new Set<Route>();
  readonly #nexthops: Map<number, Nexthop> | undefined;
  /** Nexthop objects that are in a group. */
  readonly #grouped = new Set<number>();
  #lastNexthopId = FIRST_NEXTHOP_ID - 1;
  /** How many routes name a nexthop object. */
  readonly #users = new Map<number, number>();

  constructor(actual: ActualState) {
    for (const link of actual.links) this.#links.set(link.index, link);
    for (const address of actual.addresses) this.#addAddress(address);
    for (const neighbour of actual.neighbours) this.#neighbours.set(neighbour.index, neighbour.address, neighbour);
    for (const fdb of actual.fdb) this.#addFdb(fdb);
    if (actual.nexthops) this.#nexthops = new Map(actual.nexthops.map((nexthop) => [nexthop.id, nexthop]));
    for (const { group = [] } of actual.nexthops ?? []) for (const { id } of group) this.#grouped.add(id);
    for (const route of actual.routes) this.#addRoute(route);
  }

  get links(): Link[] {
    return [...this.#links.values()];
  }

  get addresses(): Address[] {
    return this.#addresses.values().flat();
  }

  get routes(): Route[] {
    return [...this.#routes.values().flat(), ...this.#otherRoutes];
  }

  get neighbours(): Neighbour[] {
    return this.#neighbours.values();
  }

  get fdb(): FdbEntry[] {
    return [...this.#fdb.values().flat(), ...this.#otherFdb];
  }

  get nexthops(): Nexthop[] | undefined {
    return this.#nexthops && [...this.#nexthops.values()];
  }

  link(index: number): Link | undefined {
    return this.#links.get(index);
  }

  neighbour({ index, address }: Pick<Neighbour, "index" | "address">): Neighbour | undefined {
    return this.#neighbours.get(index, address);
  }

  /** All destinations of a MAC in the device's own table. */
  fdbOf({ index, lladdr }: Pick<FdbEntry, "index" | "lladdr">): readonly FdbEntry[] {
    return this.#fdb.get(index, lladdr) ?? [];
  }

  /** What is in the place of a wanted route; the kernel's replace takes the first. */
  inPlaceOf({ dst }: Pick<WantedRoute, "dst">): readonly Route[] {
    return this.#routes.get(dst.length, dst.address) ?? [];
  }

  nexthop(id: number): Nexthop | undefined {
    return this.#nexthops?.get(id);
  }

  /** Those that no wanted route would replace. */
  otherRoutes(): Route[] {
    return [...this.#otherRoutes];
  }

  get hasNexthops(): boolean {
    return this.#nexthops !== undefined;
  }

  /** One that nobody has, and that was not given out before. */
  newNexthopId(): number {
    do this.#lastNexthopId++;
    while (this.#nexthops?.has(this.#lastNexthopId));
    return this.#lastNexthopId;
  }

  isGrouped(id: number): boolean {
    return this.#grouped.has(id);
  }

  /** How many routes name it. */
  usersOf({ id }: Pick<Nexthop, "id">): number {
    return this.#users.get(id) ?? 0;
  }

  /** Whether the event tells nothing that is not known; what we neither want nor take away counts as known. */
  knows(event: RtnlEvent): boolean {
    const isNew = event.change === "new";
    switch (event.of) {
      case "link": {
        const known = this.#links.get(event.link.index);
        return isNew ? known !== undefined && isSameLink(known, event.link) : known === undefined;
      }
      case "address": {
        const { index, prefix, scope, flags } = event.address;
        const known = this.#addresses.get(index, prefix.address)?.find((a) => prefixesEqual(a.prefix, prefix));
        return isNew ? known?.scope === scope && known.flags === flags : known === undefined;
      }
      case "neighbour": {
        const known = this.neighbour(event.neighbour);
        if (!isPermanent(event.neighbour) && !(known && isPermanent(known))) return true;
        return isNew
          ? known?.lladdr === event.neighbour.lladdr && known?.state === event.neighbour.state
          : known === undefined;
      }
      case "fdb": {
        const { dst, flags, state } = event.fdb;
        const known = this.fdbOf(event.fdb);
        if ((flags & NTF_SELF) === 0 || (!isPermanent(event.fdb) && !known.some(isPermanent))) return true;
        const entry = known.find((other) => other.dst === dst);
        return isNew ? entry?.state === state : entry === undefined;
      }
      case "route": {
        const { route } = event;
        if (route.table !== RT_TABLE_MAIN) return true;
        const known = this.#rivalsOf(route).some((other) => isSameRoute(other, route));
        return isNew === known;
      }
      case "nexthop": {
        const known = this.#nexthops?.get(event.nexthop.id);
        return isNew ? known !== undefined && isSameNexthop(known, event.nexthop) : known === undefined;
      }
    }
  }

  #rivalsOf(route: Route): readonly Route[] {
    return route.dst && isUsual(route) ? this.inPlaceOf({ dst: route.dst }) : [...this.#otherRoutes];
  }

  /** Takes note of what the kernel has carried out (net/ipv4/fib_trie.c, net/core/neighbour.c, drivers/net/vxlan). */
  apply(change: Change): void {
    switch (change.change) {
      case "set-up": {
        const link = this.#links.get(change.index);
        if (link) this.#links.set(change.index, { ...link, isUp: true });
        break;
      }
      case "add-address":
        this.#addAddress({ index: change.index, prefix: change.prefix, scope: 0, flags: 0x80 });
        break;
      case "delete-address":
        this.#deleteAddress(change);
        break;
      case "replace-neighbour": {
        const { index, address } = change.neighbour;
        const family = isIpv4(address) ? 4 : 6;
        this.#neighbours.set(index, address, { ...change.neighbour, family, flags: 0, state: NUD_PERMANENT });
        break;
      }
      case "delete-neighbour":
        this.#neighbours.delete(change.neighbour.index, change.neighbour.address);
        break;
      case "replace-fdb":
        this.#replaceFdb({ ...change.fdb, flags: NTF_SELF, state: NUD_PERMANENT });
        break;
      case "delete-fdb":
        this.#deleteFdb(change.fdb);
        break;
      case "add-nexthop":
        this.#nexthops?.set(change.nexthop.id, asNexthop(change.nexthop));
        break;
      case "delete-nexthop":
        this.#nexthops?.delete(change.nexthop.id);
        break;
      case "replace-route": {
        const [first] = this.inPlaceOf(change.route);
        if (first) this.#deleteRoute(first);
        this.#addRoute(asRoute(change.route, change.nexthopId), true);
        break;
      }
      case "add-blackhole":
        this.#addRoute(asBlackhole(change.dst));
        break;
      case "delete-route":
        this.#deleteRoute(change.route);
        break;
    }
  }

  #addAddress(address: Address): void {
    const { index, prefix } = address;
    const list = this.#addresses.get(index, prefix.address);
    if (list) list.push(address);
    else this.#addresses.set(index, prefix.address, [address]);
  }

  #deleteAddress({ index, prefix }: Pick<Address, "index" | "prefix">): void {
    const rest = (this.#addresses.get(index, prefix.address) ?? []).filter((a) => !prefixesEqual(a.prefix, prefix));
    this.#addresses.put(index, prefix.address, rest);
  }

  #addFdb(entry: FdbEntry): void {
    if ((entry.flags & NTF_SELF) === 0) {
      this.#otherFdb.push(entry);
      return;
    }
    const list = this.#fdb.get(entry.index, entry.lladdr);
    if (list) list.push(entry);
    else this.#fdb.set(entry.index, entry.lladdr, [entry]);
  }

  /** One destination changes, the others stay; the state is the MAC's, not the destination's. */
  #replaceFdb(entry: FdbEntry): void {
    const [, ...rest] = this.fdbOf(entry);
    this.#fdb.set(entry.index, entry.lladdr, [entry, ...rest.map((other) => ({ ...other, state: entry.state }))]);
  }

  #deleteFdb(entry: FdbEntry): void {
    this.#fdb.put(
      entry.index,
      entry.lladdr,
      this.fdbOf(entry).filter((other) => other.dst !== entry.dst),
    );
  }

  #addRoute(route: Route, isFirst = false): void {
    if (route.nexthopId !== undefined) this.#users.set(route.nexthopId, this.usersOf({ id: route.nexthopId }) + 1);
    const { dst } = route;
    if (dst === undefined || !isUsual(route)) {
      this.#otherRoutes.add(route);
      return;
    }
    const list = this.#routes.get(dst.length, dst.address);
    if (!list) this.#routes.set(dst.length, dst.address, [route]);
    else if (isFirst) list.unshift(route);
    else list.push(route);
  }

  #deleteRoute(route: Route): void {
    if (route.nexthopId !== undefined) this.#users.set(route.nexthopId, this.usersOf({ id: route.nexthopId }) - 1);
    if (this.#otherRoutes.delete(route) || !route.dst) return;
    const { length, address } = route.dst;
    this.#routes.put(
      length,
      address,
      this.inPlaceOf({ dst: route.dst }).filter((other) => other !== route),
    );
  }
}

/** One that a wanted route would replace. */
function isUsual({ tos, family, priority = DEFAULT_PRIORITY[family] }: Route): boolean {
  return tos === 0 && priority === DEFAULT_PRIORITY[family];
}

function isSameLink(a: Link, b: Link): boolean {
  return (
    a.name === b.name &&
    a.isUp === b.isUp &&
    a.mtu === b.mtu &&
    a.address === b.address &&
    a.master === b.master &&
    JSON.stringify(a.kind) === JSON.stringify(b.kind)
  );
}

function isSameRoute(a: Route, b: Route): boolean {
  return (
    a.protocol === b.protocol &&
    a.type === b.type &&
    a.gateway === b.gateway &&
    a.oif === b.oif &&
    a.onlink === b.onlink &&
    a.nexthopId === b.nexthopId &&
    (a.priority ?? DEFAULT_PRIORITY[a.family]) === (b.priority ?? DEFAULT_PRIORITY[b.family]) &&
    a.dst?.address === b.dst?.address &&
    a.dst?.length === b.dst?.length &&
    a.family === b.family
  );
}

function isSameNexthop(a: Nexthop, b: Nexthop): boolean {
  return (
    a.protocol === b.protocol &&
    a.gateway === b.gateway &&
    a.oif === b.oif &&
    a.onlink === b.onlink &&
    a.blackhole === b.blackhole &&
    JSON.stringify(a.group) === JSON.stringify(b.group)
  );
}

function asNexthop({ id, gateway, oif, onlink }: WantedNexthop): Nexthop {
  return { id, family: 4, gateway, oif, onlink, protocol: RTPROT_PODPATH, blackhole: false };
}

/** An IPv6 one hangs on lo, which has index 1 in every namespace. */
function asBlackhole(dst: Prefix): Route {
  const family = isIpv4(dst.address) ? 4 : 6;
  return {
    family,
    dst,
    ...(family === 6 && { oif: 1 }),
    onlink: false,
    table: RT_TABLE_MAIN,
    protocol: RTPROT_PODPATH,
    scope: 0,
    type: RTN_BLACKHOLE,
    priority: BLACKHOLE_PRIORITY,
    tos: 0,
    flags: 0,
  };
}

function asRoute({ dst, gateway, oif, onlink }: WantedRoute, nexthopId: number | undefined): Route {
  return {
    family: isIpv4(dst.address) ? 4 : 6,
    dst,
    ...(gateway && { gateway }),
    oif,
    onlink,
    ...(nexthopId !== undefined && { nexthopId }),
    table: RT_TABLE_MAIN,
    protocol: RTPROT_PODPATH,
    scope: 0,
    type: RTN_UNICAST,
    tos: 0,
    flags: 0,
  };
}
