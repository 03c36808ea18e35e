import { PcapngWriter } from "../formats/packet/index.ts";
import type { Hop } from "../model/index.ts";

/** The hops of one probe, under the title that its packets' comments begin with. */
export interface TitledTrace {
  readonly title: string;
  readonly hops: readonly Hop[];
}

/**
 * One file with one interface block per hop and a comment per packet: `hop 4/12 of the request: …`. Several traces may
 * share a file; a device at which several hops lie (there and back) has a block for each.
 */
export function toPcapng(traces: readonly TitledTrace[]): Uint8Array {
  const writer = new PcapngWriter();
  const packets = traces.flatMap(({ title, hops }) => hops.map((hop) => ({ title, hop, count: countOf(hops, hop) })));
  const ids = packets.map(({ title, hop }) =>
    writer.addInterface({
      name: `${hop.netns}/${hop.device}`,
      description: `${title}: ${hop.leg} hop ${hop.index}, ${hop.device} of ${hop.netns} on ${hop.node}, ${hop.direction}`,
    }),
  );
  packets.forEach(({ title, hop, count }, i) => {
    const changed = hop.diff.map((change) => change.text).join("; ") || "unchanged";
    writer.addPacket({
      interfaceId: ids[i] ?? 0,
      timestampNs: hop.timestampNs,
      frame: hop.frame,
      direction: hop.direction,
      comment: `${title}: hop ${hop.index}/${count} of the ${hop.leg}, ${hop.stage}: ${[changed, ...hop.notes].join("; ")}`,
    });
  });
  return writer.finish();
}

function countOf(hops: readonly Hop[], { leg }: Hop): number {
  return hops.filter((hop) => hop.leg === leg).length;
}
