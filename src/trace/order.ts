import { isAt, type Sighting } from "./sighting.ts";
import type { Topology } from "./topology.ts";

/**
 * One packet's sightings in the order in which it passed them. Inside a namespace the socket's order holds: a frame
 * keeps its first timestamp on its way up, so times there may be equal. Across namespaces the clock decides; but what
 * was handed to one end of a veth pair is next received at the other, whatever two CPUs' clocks say.
 */
export function order(sightings: readonly Sighting[], topology: Topology): Sighting[] {
  const queues = new Map<string, Sighting[]>();
  for (const sighting of sightings) queues.set(sighting.netns, [...(queues.get(sighting.netns) ?? []), sighting]);
  const ordered: Sighting[] = [];
  while (ordered.length < sightings.length) {
    const heads = [...queues.values()].flatMap((queue) => queue.slice(0, 1));
    const next =
      otherEnd(ordered.at(-1), heads, topology) ??
      heads.reduce((first, head) => (isBefore(head, first) ? head : first));
    queues.get(next.netns)?.shift();
    ordered.push(next);
  }
  return ordered;
}

/** The head that is the reception of what `last` handed to its veth. */
function otherEnd(last: Sighting | undefined, heads: readonly Sighting[], topology: Topology): Sighting | undefined {
  if (last?.captured.direction !== "tx") return undefined;
  const peer = topology.peerOf(last.netns, last.captured.device);
  return heads.find((head) => isAt(head, peer) && head.captured.direction === "rx");
}

/** At the same moment, sending comes before receiving; otherwise the order given stays. */
function isBefore({ captured: a }: Sighting, { captured: b }: Sighting): boolean {
  if (a.timestampNs !== b.timestampNs) return a.timestampNs < b.timestampNs;
  return a.direction === "tx" && b.direction === "rx";
}
