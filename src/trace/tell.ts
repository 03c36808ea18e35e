import type { TraceEvent } from "../kernel/index.ts";
import type { Hop, Leg } from "../model/index.ts";
import { handshakeOf, stillborn } from "./handshake.ts";
import { toHops } from "./hops.ts";
import { withEvidence } from "./kernel-events.ts";
import { order } from "./order.ts";
import type { ProbeMatch } from "./probe.ts";
import { legOfSighting, type Sighting } from "./sighting.ts";
import type { Topology } from "./topology.ts";
import { firstTransmission } from "./transmission.ts";

const LEGS: readonly Leg[] = ["request", "reply"];

/** From everything that was seen to the probe's hops. Pure. */
export function tell(
  sightings: readonly Sighting[],
  match: ProbeMatch,
  topology: Topology,
  events: readonly TraceEvent[],
): { hops: Hop[]; evidence: string[] } {
  const { request, reply, evidence } = choose(sightings, match);
  const legs = LEGS.map((leg) => {
    const first = firstTransmission(leg, leg === "request" ? request : reply, topology);
    evidence.push(...first.evidence);
    return { leg, sightings: order(first.sightings, topology) };
  });
  const [start] = legs.flatMap((leg) => leg.sightings);
  if (match.protocol === "tcp" && start && legOfSighting(start, match) === "request")
    evidence.unshift(handshakeOf(start, sightings));
  const startNs = start?.captured.timestampNs ?? 0n;
  const hops = legs.flatMap(({ leg, sightings: own }) => toHops(leg, own, startNs));
  const ifindex = (hop: Hop): number =>
    sightings.find((one) => one.netns === hop.netns && one.captured.device === hop.device)?.captured.ifindex ?? 0;
  return { hops: withEvidence(hops, events, ifindex), evidence };
}

function choose(
  sightings: readonly Sighting[],
  match: ProbeMatch,
): { request: readonly Sighting[]; reply: readonly Sighting[]; evidence: string[] } {
  const [request = [], reply = []] = LEGS.map((leg) =>
    sightings.filter((sighting) => legOfSighting(sighting, match) === leg),
  );
  if (request.length > 0 || match.protocol !== "tcp" || match.port === undefined)
    return { request, reply, evidence: [] };
  const evidence = [
    "the connection did not come about, so no request was sent; its SYN and what answered it are shown",
  ];
  return { ...stillborn(sightings, match.port), evidence };
}
