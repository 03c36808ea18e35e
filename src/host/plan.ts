import { formatPrefix, type IpAddress, type MacAddress, type Prefix } from "../formats/netip/index.ts";
import { type FdbEntry, type Neighbour, NTF_SELF, type Route, RTN_UNICAST } from "../formats/netlink/index.ts";
import { blackholeKey, blackholeSteps } from "./blackhole.ts";
import { isPermanent, Ownership, routeKey } from "./ownership.ts";
import {
  type ActualState,
  RTPROT_PODPATH,
  type WantedDevice,
  type WantedFdb,
  type WantedNeighbour,
  type WantedPeer,
  type WantedRoute,
  type WantedState,
} from "./state.ts";

/** One difference between what is and what shall be, as the one thing to do about it. */
export type Change =
  | { readonly change: "set-up"; readonly index: number }
  | { readonly change: "add-address"; readonly index: number; readonly prefix: Prefix }
  | { readonly change: "replace-neighbour"; readonly neighbour: WantedNeighbour }
  | { readonly change: "replace-fdb"; readonly fdb: WantedFdb }
  | { readonly change: "replace-route"; readonly route: WantedRoute }
  | { readonly change: "add-blackhole"; readonly dst: Prefix }
  | { readonly change: "delete-route"; readonly route: Route }
  | { readonly change: "delete-fdb"; readonly fdb: FdbEntry }
  | { readonly change: "delete-neighbour"; readonly neighbour: Neighbour }
  | { readonly change: "delete-address"; readonly index: number; readonly prefix: Prefix };

/** The changes of one device, of one peer, or of one thing that nobody wants any more. */
export interface Step {
  /** `device flannel.1`, `peer 10.244.2.0/24`, `stale route 10.244.9.0/24`. */
  readonly of: string;
  readonly changes: readonly Change[];
}

/** Something wanted that cannot be, because something else stands in its place. */
export interface Conflict {
  readonly of: string;
  readonly why: string;
}

export interface Plan {
  /**
   * Devices first, then peers, each neighbour before FDB entry before route, so that a route never leads to a peer
   * we cannot reach; then what is stale, the route first for the same reason. Stale comes last of all: a changed peer
   * is reachable by its new entries before it loses the old ones.
   */
  readonly steps: readonly Step[];
  readonly conflicts: readonly Conflict[];
}

/** What to change so that `wanted` is. Pure; no steps means that nothing has to change. */
export function plan(actual: ActualState, wanted: WantedState): Plan {
  const owns = new Ownership(wanted);
  const steps: Step[] = [];
  const conflicts: Conflict[] = [];
  const add = (of: string, changes: readonly Change[]): void => {
    if (changes.length > 0) steps.push({ of, changes });
  };
  for (const device of wanted.devices) add(`device ${device.name}`, deviceChanges(actual, device));
  const is = indexActual(actual);
  /** Who wants what is to be under a key. */
  const claims = new Map<string, string>();
  const addOwner = (of: string, parts: Omit<WantedPeer, "key">): void => {
    const keyed = keyParts(of, parts);
    const why = claim(claims, keyed) ?? foreignRoute(is.routes, keyed, owns);
    if (why === undefined) add(of, ownerChanges(is, keyed, owns));
    else conflicts.push({ of, why });
  };
  for (const { name, routes } of wanted.devices)
    if (routes) addOwner(`routes of device ${name}`, { neighbours: [], fdb: [], routes });
  for (const peer of wanted.peers) addOwner(`peer ${peer.key}`, peer);
  const blackholes = wanted.blackholes ?? [];
  steps.push(...blackholeSteps(actual, blackholes));
  for (const dst of blackholes) claims.set(blackholeKey(dst), "this node");
  steps.push(...staleSteps(actual, wanted, claims, owns));
  return { steps, conflicts };
}

function deviceChanges(actual: ActualState, device: WantedDevice): Change[] {
  const link = actual.links.find((candidate) => candidate.index === device.index);
  const has = new Set(actual.addresses.filter((a) => a.index === device.index).map((a) => formatPrefix(a.prefix)));
  return [
    ...(link?.isUp ? [] : [{ change: "set-up" as const, index: device.index }]),
    ...device.addresses
      .filter((prefix) => !has.has(formatPrefix(prefix)))
      .map((prefix) => ({ change: "add-address" as const, index: device.index, prefix })),
  ];
}

interface Indexed {
  readonly neighbours: ReadonlyMap<string, Neighbour>;
  /** A vxlan device's table may hold several destinations for one MAC; the first is the one packets go to. */
  readonly fdb: ReadonlyMap<string, readonly FdbEntry[]>;
  readonly routes: ReadonlyMap<string, readonly Route[]>;
}

function indexActual(actual: ActualState): Indexed {
  const neighbours = new Map(actual.neighbours.map((entry) => [neighbourKey(entry), entry]));
  const selfEntries = actual.fdb.filter((entry) => (entry.flags & NTF_SELF) !== 0);
  return { neighbours, fdb: groupBy(selfEntries, fdbKey), routes: groupBy(actual.routes, routeKey) };
}

/** A peer, or a device, whose parts have their keys at hand: there are thousands of them, and making a key is what costs. */
interface Owner {
  readonly of: string;
  readonly neighbours: readonly (readonly [key: string, wanted: WantedNeighbour])[];
  readonly fdb: readonly (readonly [key: string, wanted: WantedFdb])[];
  readonly routes: readonly (readonly [key: string, wanted: WantedRoute])[];
}

function keyParts(of: string, { neighbours, fdb, routes }: Omit<WantedPeer, "key">): Owner {
  return {
    of,
    neighbours: neighbours.map((wanted) => [neighbourKey(wanted), wanted]),
    fdb: fdb.map((wanted) => [fdbKey(wanted), wanted]),
    routes: routes.map((wanted) => [routeKey(wanted), wanted]),
  };
}

/** Two peers may not want different things in one place: it would change hands for ever. The first in order has it. */
function claim(claims: Map<string, string>, keyed: Owner): string | undefined {
  const keys = [...keyed.neighbours, ...keyed.fdb, ...keyed.routes];
  const contested = keys.find(([key]) => claims.has(key));
  for (const [key] of keys) if (!claims.has(key)) claims.set(key, keyed.of);
  if (!contested) return undefined;
  const [key, wanted] = contested;
  const isFdb = "lladdr" in wanted && "dst" in wanted;
  const what = isFdb ? `MAC address ${wanted.lladdr}` : "subnet";
  return `its ${what} is that of ${claims.get(key)} too; one of the two leases has to go`;
}

/** A route that is not ours, in the place where one of the peer's has to be. */
function foreignRoute(routes: Indexed["routes"], { routes: wanted }: Owner, owns: Ownership): string | undefined {
  for (const [key, route] of wanted) {
    const inPlace = routes.get(key) ?? [];
    if (inPlace.some((other) => sameWay(other, route))) continue;
    const foreign = inPlace.find((other) => !owns.route(other) && !owns.mayAdopt(other));
    if (foreign)
      return (
        `route ${formatPrefix(route.dst)} (protocol ${foreign.protocol}) is somebody else's and leads elsewhere; ` +
        `delete it with: ip route del ${formatPrefix(route.dst)} proto ${foreign.protocol}`
      );
  }
  return undefined;
}

function ownerChanges(is: Indexed, owner: Owner, owns: Ownership): Change[] {
  const changes: Change[] = [];
  for (const [key, neighbour] of owner.neighbours) {
    const entry = is.neighbours.get(key);
    if (entry?.lladdr !== neighbour.lladdr || !isPermanent(entry))
      changes.push({ change: "replace-neighbour", neighbour });
  }
  for (const [key, fdb] of owner.fdb) {
    const [entry, ...more] = is.fdb.get(key) ?? [];
    // The kernel's replace changes one destination and leaves the others.
    for (const other of more) changes.push({ change: "delete-fdb", fdb: other });
    if (entry?.dst !== fdb.dst || !isPermanent(entry)) changes.push({ change: "replace-fdb", fdb });
  }
  for (const [key, route] of owner.routes)
    if (!is.routes.get(key)?.some((other) => satisfies(other, route, owns)))
      changes.push({ change: "replace-route", route });
  return changes;
}

/** Ours, and under a key that no peer claims. */
function staleSteps(
  actual: ActualState,
  wanted: WantedState,
  claims: ReadonlyMap<string, unknown>,
  owns: Ownership,
): Step[] {
  const addresses = new Set(
    wanted.devices.flatMap((d) => d.addresses.map((prefix) => `${d.index} ${formatPrefix(prefix)}`)),
  );
  const one = (of: string, change: Change): Step => ({ of: `stale ${of}`, changes: [change] });
  return [
    ...actual.routes
      .filter((route) => owns.route(route) && !claims.has(routeKey(route)))
      .map((route) =>
        one(`route ${route.dst ? formatPrefix(route.dst) : "default"}`, { change: "delete-route", route }),
      ),
    ...actual.fdb
      .filter((fdb) => owns.fdb(fdb) && !claims.has(fdbKey(fdb)))
      .map((fdb) => one(`FDB entry ${fdb.lladdr}`, { change: "delete-fdb", fdb })),
    ...actual.neighbours
      .filter((neighbour) => owns.neighbour(neighbour) && !claims.has(neighbourKey(neighbour)))
      .map((neighbour) => one(`neighbour ${neighbour.address}`, { change: "delete-neighbour", neighbour })),
    ...actual.addresses
      .filter((address) => owns.address(address) && !addresses.has(`${address.index} ${formatPrefix(address.prefix)}`))
      .map(({ index, prefix }) => one(`address ${formatPrefix(prefix)}`, { change: "delete-address", index, prefix })),
  ];
}

/** Leads where `wanted` does, whoever's it is. */
function sameWay(route: Route, wanted: WantedRoute): boolean {
  return (
    route.type === RTN_UNICAST &&
    route.gateway === wanted.gateway &&
    route.oif === wanted.oif &&
    route.onlink === wanted.onlink
  );
}

/** As `wanted`; on our device it has to be ours by protocol too, elsewhere a stranger's that leads there serves as well. */
function satisfies(route: Route, wanted: WantedRoute, owns: Ownership): boolean {
  return sameWay(route, wanted) && (route.protocol === RTPROT_PODPATH || !owns.device(route.oif));
}

function neighbourKey(neighbour: { readonly index: number; readonly address: IpAddress }): string {
  return `neighbour ${neighbour.index} ${neighbour.address}`;
}

function fdbKey(fdb: { readonly index: number; readonly lladdr: MacAddress }): string {
  return `fdb ${fdb.index} ${fdb.lladdr}`;
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
