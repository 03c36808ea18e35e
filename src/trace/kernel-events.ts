import type { Layer } from "../formats/packet/index.ts";
import type { TraceEvent, TraceEventRequest } from "../kernel/index.ts";
import { type Hop, ipOf, openEnvelope } from "../model/index.ts";
import type { ProbeMatch } from "./probe.ts";

const ETH_HEADER = 14;
/** The outer Ethernet, IP, UDP and VXLAN headers together, by the underlay's family. */
const VXLAN_HEADERS = { 4: 50, 6: 70 };
/** A tracepoint lies a few microseconds beside the tap; a CPU that was taken away in between makes it more. */
const SLACK_NS = 2_000_000n;
/** Trace times are whole microseconds, and the two clocks are compared with a system call between. */
const CLOCK_NS = 2_000n;
/** After the last hop: the kernel drops within this, or later and for another reason (a neighbour that never answers). */
const TAIL_NS = 50_000_000n;

export const TRACE_EVENTS: readonly TraceEventRequest[] = [
  { event: "net:net_dev_queue" },
  { event: "net:netif_receive_skb" },
  { event: "fib:fib_table_lookup" },
  { event: "skb:kfree_skb", filter: "protocol==2048 || protocol==34525" },
];

/**
 * A kernel-side filter that passes the probe's own lengths only: those of a packet with this much payload as it is
 * handed to a device (with its Ethernet header) and received (without), alone and inside a VXLAN carrier.
 */
export function lengthFilter({ protocol, requestBytes, replyBytes }: ProbeMatch): string | undefined {
  const sizes = [requestBytes, replyBytes].filter((size) => size !== undefined);
  if (sizes.length < 2) return undefined;
  // A TCP header with and without the timestamp option.
  const transports = protocol === "tcp" ? [20, 32] : [8];
  const lengths = sizes.flatMap((size) =>
    ([4, 6] as const).flatMap((family) =>
      transports.flatMap((transport) => {
        const packet = (family === 4 ? 20 : 40) + transport + size;
        const bare = [packet, packet + VXLAN_HEADERS[4], packet + VXLAN_HEADERS[6]];
        return bare.flatMap((length) => [length, length + ETH_HEADER]);
      }),
    ),
  );
  return [...new Set(lengths)].map((length) => `len==${length}`).join(" || ");
}

/** Adds to each hop what the kernel's tracepoints said from then until the next hop: its skb, route lookups, a drop. */
export function withEvidence(
  hops: readonly Hop[],
  events: readonly TraceEvent[],
  ifindexOf: (hop: Hop) => number,
): Hop[] {
  return hops.map((hop, i): Hop => {
    const next = hops[i + 1]?.leg === hop.leg ? hops[i + 1] : undefined;
    const own = nearest(
      events.filter((event) => isSightingOf(event, hop)),
      hop,
    );
    const until = next ? next.timestampNs + CLOCK_NS : hop.timestampNs + TAIL_NS;
    const after = events.filter(({ timestampNs: at }) => at >= hop.timestampNs - CLOCK_NS && at <= until);
    const lookups = after.filter((event) => isLookupFor(event, hop, next, ifindexOf(hop)));
    // An skb's address is another packet's within microseconds: only while this packet is known to have it.
    const drop = next || !own ? undefined : after.find((event) => isDropOf(event, own));
    const said = [own, ...lookups].filter((event) => event !== undefined).map(({ name, text }) => `${name}: ${text}`);
    return { ...hop, evidence: [...new Set(said), ...(drop ? [dropText(drop)] : [])] };
  });
}

function dropText({ fields: { reason = "not told by this kernel", location = "?" } }: TraceEvent): string {
  return `kfree_skb: dropped, reason ${reason}, at ${location}`;
}

/** Another lab on this machine may send the same lengths at almost the same time. */
function nearest(events: readonly TraceEvent[], { timestampNs }: Hop): TraceEvent | undefined {
  const distance = (event: TraceEvent): number => Math.abs(Number(event.timestampNs - timestampNs));
  return events.toSorted((a, b) => distance(a) - distance(b))[0];
}

/** Whether this may be the event of this hop: same device name, same length, beside it in time. */
function isSightingOf({ name, fields, timestampNs }: TraceEvent, hop: Hop): boolean {
  const distance = timestampNs - hop.timestampNs;
  if (distance > SLACK_NS || distance < -SLACK_NS || fields.dev !== hop.device) return false;
  if (name === "net_dev_queue") return hop.direction === "tx" && Number(fields.len) === hop.frame.length;
  return name === "netif_receive_skb" && hop.direction === "rx" && Number(fields.len) === hop.frame.length - ETH_HEADER;
}

function isDropOf({ name, fields }: TraceEvent, own: TraceEvent): boolean {
  return name === "kfree_skb" && fields.skbaddr === own.fields.skbaddr;
}

/**
 * A lookup made because of this hop: for the device a packet came in by; or, after it was handed to flannel.1, for its
 * carrier, which the node itself sends (iif is lo, or nothing).
 */
function isLookupFor({ name, text }: TraceEvent, hop: Hop, next: Hop | undefined, ifindex: number): boolean {
  if (name !== "fib_table_lookup") return false;
  const found = /\biif (\d+) (?:proto \d+ )?([\d.]+)(?:\/\d+)? -> ([\d.]+)/.exec(text);
  if (!found) return false;
  const [, iif, source, destination] = found;
  const isFor = (layers: readonly Layer[]): boolean => {
    const ip = ipOf(layers);
    return ip !== undefined && ip.destination === destination && (ip.source === source || source === "0.0.0.0");
  };
  if (hop.direction === "tx") return Number(iif) <= 1 && next !== undefined && isFor(openEnvelope(next.packet).outer);
  if (Number(iif) !== ifindex) return false;
  // After a DNAT the lookup is for the destination that the next hop shows, but still from the source of this one.
  const { inner, outer } = openEnvelope(hop.packet);
  const translated = next && ipOf(openEnvelope(next.packet).inner);
  return isFor(inner) || isFor(outer) || (translated?.destination === destination && ipOf(inner)?.source === source);
}
