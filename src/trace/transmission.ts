import { findLayer, icmpEcho, icmpv6Echo } from "../formats/packet/index.ts";
import { PACKET_OTHERHOST } from "../kernel/index.ts";
import { ipOf, type Leg, ttlOf } from "../model/index.ts";
import { isAt, type Sighting } from "./sighting.ts";
import type { Topology } from "./topology.ts";

/** One transmission of a packet, freed of what only looks like it. */
export interface Transmission {
  readonly sightings: readonly Sighting[];
  readonly evidence: readonly string[];
}

/**
 * Of all sightings of a leg's packet those of its first transmission. Left out, and told in `evidence`: later
 * transmissions, second copies at the same place, and copies that a bridge flooded to ports where nobody wanted them.
 */
export function firstTransmission(leg: Leg, sightings: readonly Sighting[], topology: Topology): Transmission {
  const groups = new Map<string, Sighting[]>();
  const byTime = sightings.toSorted((a, b) => Number(a.captured.timestampNs - b.captured.timestampNs));
  for (const { inner } of byTime) groups.set(identity(inner), []);
  // Filled in the given order, which inside a namespace is the socket's.
  for (const sighting of sightings) groups.get(identity(sighting.inner))?.push(sighting);
  const [first = [], ...later] = groups.values();
  const evidence: string[] = [];
  if (later.length > 0) evidence.push(`the ${leg} was sent ${later.length + 1} times; the first transmission is shown`);
  const flooded = floodedCopies(first, topology);
  for (const { netns, captured } of flooded.filter(({ captured: { direction } }) => direction === "rx"))
    evidence.push(`a bridge flooded a copy of the ${leg} to ${netns}/${captured.device}, which was not asked`);
  const seen = new Set<string>();
  const kept: Sighting[] = [];
  let copies = 0;
  for (const sighting of first.filter((one) => !flooded.includes(one))) {
    const { netns, captured, inner } = sighting;
    // The same place with another TTL is no copy: the packet came by again, a loop.
    const place = `${netns} ${captured.device} ${captured.direction} ${ttlOf(inner)}`;
    if (seen.has(place)) copies++;
    else kept.push(sighting);
    seen.add(place);
  }
  if (copies > 0) evidence.push(`${copies} further copies of the ${leg} at places it had passed are left out`);
  return { sightings: kept, evidence };
}

/** What stays the same on the way and differs from one transmission to the next: not addresses, which NAT rewrites. */
function identity(inner: Sighting["inner"]): string {
  const ip = ipOf(inner);
  const [icmp, icmpv6] = [findLayer(inner, "icmp"), findLayer(inner, "icmpv6")];
  return [
    ip?.layer === "ipv4" ? ip.identification : "",
    findLayer(inner, "tcp")?.sequence ?? "",
    (icmp && icmpEcho(icmp)?.sequence) ?? (icmpv6 && icmpv6Echo(icmpv6)?.sequence) ?? "",
  ].join("/");
}

/**
 * A bridge that does not know a MAC sends the frame out of every port. The copies end where a device that is no bridge
 * port receives a frame for somebody else.
 */
function floodedCopies(sightings: readonly Sighting[], topology: Topology): Sighting[] {
  const ends = sightings.filter(
    ({ netns, captured: { packetType, direction, device } }) =>
      // A bridge port receives frames for others all the time; that is its work.
      packetType === PACKET_OTHERHOST && direction === "rx" && !topology.isBridgePort(netns, device),
  );
  return ends.flatMap((end) => {
    const peer = topology.peerOf(end.netns, end.captured.device);
    return [end, ...sightings.filter((one) => isAt(one, peer) && one.captured.direction === "tx")];
  });
}
