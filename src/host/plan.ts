import { formatPrefix, type IpAddress, type MacAddress, type Prefix } from "../formats/netip/index.ts";
import { type FdbEntry, type Neighbour, NTF_SELF, type Route, RTN_UNICAST } from "../formats/netlink/index.ts";
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
  const claims = new Map<string, string>();
  for (const peer of wanted.peers) {
    const of = `peer ${peer.key}`;
    const why = claim(claims, peer) ?? foreignRoute(is.routes, peer, owns);
    if (why === undefined) add(of, peerChanges(is, peer, owns));
    else conflicts.push({ of, why });
  }
  steps.push(...staleSteps(actual, wanted, owns));
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

/** Two peers may not want different things in one place: it would change hands for ever. The first in order has it. */
function claim(claims: Map<string, string>, peer: WantedPeer): string | undefined {
  const keys = [
    ...peer.neighbours.map((n) => [neighbourKey(n), `address ${n.address}`]),
    ...peer.fdb.map((f) => [fdbKey(f), `MAC address ${f.lladdr}`]),
    ...peer.routes.map((r) => [routeKey(r), `subnet ${formatPrefix(r.dst)}`]),
  ] as [string, string][];
  for (const [key, what] of keys) {
    const holder = claims.get(key);
    if (holder !== undefined) return `its ${what} is that of peer ${holder} too; one of the two leases has to go`;
  }
  for (const [key] of keys) claims.set(key, peer.key);
  return undefined;
}

/** A route that is not ours, in the place where one of the peer's has to be. */
function foreignRoute(routes: Indexed["routes"], peer: WantedPeer, owns: Ownership): string | undefined {
  for (const route of peer.routes) {
    const inPlace = routes.get(routeKey(route)) ?? [];
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

function peerChanges(is: Indexed, peer: WantedPeer, owns: Ownership): Change[] {
  const changes: Change[] = [];
  for (const neighbour of peer.neighbours) {
    const entry = is.neighbours.get(neighbourKey(neighbour));
    if (entry?.lladdr !== neighbour.lladdr || !isPermanent(entry))
      changes.push({ change: "replace-neighbour", neighbour });
  }
  for (const fdb of peer.fdb) {
    const [entry, ...more] = is.fdb.get(fdbKey(fdb)) ?? [];
    // The kernel's replace changes one destination and leaves the others.
    for (const other of more) changes.push({ change: "delete-fdb", fdb: other });
    if (entry?.dst !== fdb.dst || !isPermanent(entry)) changes.push({ change: "replace-fdb", fdb });
  }
  for (const route of peer.routes)
    if (!(is.routes.get(routeKey(route)) ?? []).some((other) => satisfies(other, route, owns)))
      changes.push({ change: "replace-route", route });
  return changes;
}

function staleSteps(actual: ActualState, wanted: WantedState, owns: Ownership): Step[] {
  const wantedKeys = new Set<string>();
  for (const peer of wanted.peers) {
    for (const n of peer.neighbours) wantedKeys.add(neighbourKey(n));
    for (const f of peer.fdb) wantedKeys.add(fdbKey(f));
    for (const r of peer.routes) wantedKeys.add(routeKey(r));
  }
  const addresses = new Set(
    wanted.devices.flatMap((d) => d.addresses.map((prefix) => `${d.index} ${formatPrefix(prefix)}`)),
  );
  const one = (of: string, change: Change): Step => ({ of: `stale ${of}`, changes: [change] });
  return [
    ...actual.routes
      .filter((route) => owns.route(route) && !wantedKeys.has(routeKey(route)))
      .map((route) =>
        one(`route ${route.dst ? formatPrefix(route.dst) : "default"}`, { change: "delete-route", route }),
      ),
    ...actual.fdb
      .filter((fdb) => owns.fdb(fdb) && !wantedKeys.has(fdbKey(fdb)))
      .map((fdb) => one(`FDB entry ${fdb.lladdr}`, { change: "delete-fdb", fdb })),
    ...actual.neighbours
      .filter((neighbour) => owns.neighbour(neighbour) && !wantedKeys.has(neighbourKey(neighbour)))
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
