import { formatPrefix, type Prefix } from "../../formats/netip/index.ts";
import type { Route } from "../../formats/netlink/index.ts";
import { type ActualState, type Change, type Plan, plan, type WantedPeer, type WantedState } from "../../host/index.ts";
import type { Lease } from "../../subnet/index.ts";
import { leaseKey } from "../peer-set.ts";
import type { Cell, Check, PeerStatus } from "./status.ts";

export interface Drift {
  readonly peers: readonly PeerStatus[];
  readonly devices: readonly Check[];
  readonly stale: readonly string[];
}

type Column = "route" | "neighbour" | "fdb";

/**
 * What the next pass of the reconcile loop would do, told peer by peer: the plan is the loop's own, only that nobody
 * carries it out. Pure.
 * @param deviceProblems what Backend.findDevices() said
 */
export function driftOf(
  actual: ActualState,
  wanted: WantedState,
  leases: readonly Lease[],
  deviceProblems: readonly string[],
): Drift {
  const todo = plan(actual, wanted);
  const byKey = new Map(wanted.peers.map((peer) => [peer.key, peer]));
  return {
    peers: leases.map((lease) => peerStatus(lease, byKey.get(nameOf(lease)), todo, actual)),
    devices: deviceChecks(wanted, todo, actual, deviceProblems),
    stale: todo.steps.filter(({ of }) => of.startsWith("stale ")).map(({ of }) => of.slice("stale ".length)),
  };
}

/** As the backends call a peer. */
function nameOf({ subnet, ipv6Subnet }: Lease): string {
  return [subnet, ipv6Subnet].flatMap((prefix) => (prefix ? [formatPrefix(prefix)] : [])).join(" ");
}

function peerStatus(lease: Lease, wanted: WantedPeer | undefined, todo: Plan, actual: ActualState): PeerStatus {
  const of = `peer ${wanted?.key}`;
  const changes = todo.steps.filter((step) => step.of === of).flatMap((step) => step.changes);
  const conflict = todo.conflicts.find((candidate) => candidate.of === of)?.why;
  const cell = (column: Column, needs: readonly unknown[] | undefined): Cell => {
    if (needs === undefined || needs.length === 0) return "-";
    if (conflict !== undefined) return "in conflict";
    const wrong = changes.filter(({ change }) => columnOf(change) === column);
    return wrong.length === 0 ? "ok" : [...new Set(wrong.map((change) => describe(change, actual)))].join("; ");
  };
  const { attrs } = lease;
  const mac = vtepMac(attrs.backendData) ?? vtepMac(attrs.backendV6Data);
  return {
    ...(lease.subnet && { subnet: formatPrefix(lease.subnet) }),
    ...(lease.ipv6Subnet && { ipv6Subnet: formatPrefix(lease.ipv6Subnet) }),
    publicIp: attrs.publicIp,
    ...(attrs.publicIpv6 && { publicIpv6: attrs.publicIpv6 }),
    ...(mac !== undefined && { vtepMac: mac }),
    route: cell("route", wanted?.routes),
    neighbour: cell("neighbour", wanted?.neighbours),
    fdb: cell("fdb", wanted?.fdb),
    ...(conflict !== undefined && { inTheWay: conflict }),
  };
}

/** A nexthop object is part of the way that a route takes. */
function columnOf(change: Change["change"]): Column {
  if (change.includes("neighbour")) return "neighbour";
  return change.includes("fdb") ? "fdb" : "route";
}

function describe(change: Change, actual: ActualState): string {
  switch (change.change) {
    case "replace-route": {
      const { dst } = change.route;
      const found = actual.routes.find((route) => route.dst !== undefined && isSame(route.dst, dst));
      return found ? `leads elsewhere: ${describeRoute(found, actual)}` : "missing";
    }
    case "replace-neighbour": {
      const { index, address } = change.neighbour;
      const found = actual.neighbours.find((entry) => entry.index === index && entry.address === address);
      if (!found) return "missing";
      return found.lladdr === change.neighbour.lladdr ? "not permanent" : `has MAC ${found.lladdr ?? "none"}`;
    }
    case "replace-fdb": {
      const { index, lladdr } = change.fdb;
      const found = actual.fdb.find((entry) => entry.index === index && entry.lladdr === lladdr);
      if (!found) return "missing";
      return found.dst === change.fdb.dst ? "not permanent" : `leads to ${found.dst ?? "nowhere"}`;
    }
    case "delete-fdb":
      return `leads to ${change.fdb.dst ?? "nowhere"} as well`;
    default:
      return "differs";
  }
}

function describeRoute({ gateway, oif, protocol, type }: Route, { links }: ActualState): string {
  const device = links.find((link) => link.index === oif)?.name;
  return [
    ...(type === 1 ? [] : [`type ${type}`]),
    ...(gateway ? [`via ${gateway}`] : []),
    ...(device ? [`dev ${device}`] : []),
    `proto ${protocol}`,
  ].join(" ");
}

function deviceChecks(wanted: WantedState, todo: Plan, actual: ActualState, problems: readonly string[]): Check[] {
  const found = wanted.devices.map((device): Check => {
    const changes = todo.steps.filter(({ of }) => of.endsWith(`device ${device.name}`)).flatMap((s) => s.changes);
    const conflicts = todo.conflicts.filter(({ of }) => of.endsWith(`device ${device.name}`)).map(({ why }) => why);
    const wrong = [...changes.map((change) => describeOfDevice(change, actual)), ...conflicts];
    return wrong.length === 0
      ? { of: `device ${device.name}`, verdict: "ok" }
      : { of: `device ${device.name}`, verdict: "drift", why: wrong.join("; ") };
  });
  const blackholes = (wanted.blackholes ?? []).map((dst): Check => {
    const of = `blackhole route ${formatPrefix(dst)}`;
    return todo.steps.some((step) => step.of === of)
      ? { of, verdict: "drift", why: "it is missing" }
      : { of, verdict: "ok" };
  });
  return [...found, ...blackholes, ...problems.map((why): Check => ({ of: "device", verdict: "drift", why }))];
}

function describeOfDevice(change: Change, actual: ActualState): string {
  if (change.change === "set-up") return "it is down";
  if (change.change === "add-address") return `address ${formatPrefix(change.prefix)} is missing`;
  if (change.change === "replace-route") return `route ${formatPrefix(change.route.dst)}: ${describe(change, actual)}`;
  return change.change;
}

function isSame(a: Prefix, b: Prefix): boolean {
  return a.address === b.address && a.length === b.length;
}

/** `VtepMAC` of a vxlan lease's backend data. */
function vtepMac(data: unknown): string | undefined {
  if (typeof data !== "object" || data === null || !("VtepMAC" in data)) return undefined;
  return typeof data.VtepMAC === "string" ? data.VtepMAC : undefined;
}

/** A lease is a peer's unless it is this node's own. */
export function peersOf(leases: readonly Lease[], own: Lease | undefined): readonly Lease[] {
  return own ? leases.filter((lease) => leaseKey(lease) !== leaseKey(own)) : leases;
}
