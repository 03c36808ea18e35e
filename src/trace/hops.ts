import { type Layer, summarise } from "../formats/packet/index.ts";
import { diffPackets, type Hop, ipOf, type Leg, stageOf } from "../model/index.ts";
import type { Sighting } from "./sighting.ts";

/** Makes one leg's ordered sightings its hops. `startNs` is the trace's zero. */
export function toHops(leg: Leg, sightings: readonly Sighting[], startNs: bigint): Hop[] {
  return sightings.map(({ node, netns, captured, layers }, i): Hop => {
    const { device, direction, timestampNs, frame } = captured;
    const before = sightings[i - 1]?.layers;
    const ends = { isFirst: i === 0, isLast: i === sightings.length - 1 };
    return {
      leg,
      index: i + 1,
      ...{ node, netns, device, direction },
      stage: stageOf({ device, direction, ...ends }),
      packet: layers,
      summary: summarise(layers),
      diff: before ? diffPackets(before, layers, leg) : [],
      notes: notesOn(layers),
      tUs: Number(timestampNs - startNs) / 1000,
      timestampNs,
      frame,
      evidence: [],
    };
  });
}

/** What is worth knowing of a packet and is no change. */
function notesOn(layers: readonly Layer[]): string[] {
  return layers.flatMap((layer, i) => {
    const where = layers.slice(i).some((later) => later.layer === "vxlan") ? "outer " : "";
    if ("checksumState" in layer && layer.checksumState === "invalid")
      return [`${where}${layer.layer} checksum is wrong`];
    if ("checksumState" in layer && layer.checksumState === "partial")
      return [`${where}${layer.layer} checksum is left to the device`];
    if (layer.layer === "malformed") return [layer.reason];
    const ip = ipOf([layer]);
    if (ip?.layer === "ipv4" && (ip.moreFragments || ip.fragmentOffset > 0)) return [`${where}packet is a fragment`];
    return [];
  });
}
