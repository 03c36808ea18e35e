import {
  type EthernetLayer,
  findLayer,
  type Ipv4Layer,
  type Ipv6Layer,
  icmpEcho,
  icmpv6Echo,
  type Layer,
} from "../formats/packet/index.ts";
import type { Change, ChangeKind, Leg } from "./vocabulary.ts";

/** A packet's layers parted at its VXLAN header: `outer` is the carrier, empty when there is none. */
export interface Envelope {
  readonly outer: readonly Layer[];
  readonly inner: readonly Layer[];
  readonly vni?: number;
}

/** A packet that is carried twice is parted at the last header: what is inside is the packet that walks. */
export function openEnvelope(layers: readonly Layer[]): Envelope {
  const at = layers.findLastIndex((layer) => layer.layer === "vxlan");
  const vxlan = layers[at];
  if (vxlan?.layer !== "vxlan") return { outer: [], inner: layers };
  return { outer: layers.slice(0, at), inner: layers.slice(at + 1), vni: vxlan.vni };
}

/** What changed in a packet between two sightings, header by header, with the name of what makes such a change. */
export function diffPackets(before: readonly Layer[], after: readonly Layer[], leg: Leg): Change[] {
  const [a, b] = [openEnvelope(before), openEnvelope(after)];
  const changes = innerChanges(a.inner, b.inner, leg);
  if (a.vni === undefined && b.vni !== undefined) return [...changes, { kind: "vxlan-encap", text: encapText(b) }];
  if (a.vni !== undefined && b.vni === undefined) return [...changes, { kind: "vxlan-decap", text: "carrier removed" }];
  return [...changes, ...outerChanges(a, b)];
}

function innerChanges(before: readonly Layer[], after: readonly Layer[], leg: Leg): Change[] {
  const [from, to] = [endpoints(before, leg), endpoints(after, leg)];
  const request = leg === "request";
  return [
    ...change(request ? "dnat" : "un-snat", from.destination, to.destination, "destination"),
    ...change(request ? "snat" : "un-dnat", from.source, to.source, "source"),
    ...ttlChanges(before, after, ""),
    ...macChanges("mac", before, after),
    ...otherChanges(before, after),
  ];
}

function outerChanges(before: Envelope, after: Envelope): Change[] {
  const [from, to] = [endpoints(before.outer), endpoints(after.outer)];
  return [
    ...change("outer-address", from.destination, to.destination, "outer destination"),
    ...change("outer-address", from.source, to.source, "outer source"),
    ...ttlChanges(before.outer, after.outer, "outer "),
    ...macChanges("outer-mac", before.outer, after.outer),
    ...change("other", before.vni?.toString(), after.vni?.toString(), "VNI"),
  ];
}

function encapText(envelope: Envelope): string {
  const ip = ipOf(envelope.outer);
  const port = findLayer(envelope.outer, "udp")?.destinationPort;
  return `VXLAN ${ip?.source} > ${ip?.destination}:${port} vni ${envelope.vni}`;
}

function change(kind: ChangeKind, before: string | undefined, after: string | undefined, what: string): Change[] {
  if (before === after) return [];
  return [
    { kind, text: `${what} ${before ?? "none"} -> ${after ?? "none"}`, before: before ?? "", after: after ?? "" },
  ];
}

export function ipOf(layers: readonly Layer[]): Ipv4Layer | Ipv6Layer | undefined {
  return layers.find((layer): layer is Ipv4Layer | Ipv6Layer => layer.layer === "ipv4" || layer.layer === "ipv6");
}

/**
 * Address and port of both ends. An ICMP echo has one identifier for both, and NAT treats it as the asker's port: it is
 * the source's on the way there and the destination's on the way back.
 */
function endpoints(
  layers: readonly Layer[],
  leg?: Leg,
): { source: string | undefined; destination: string | undefined } {
  const ip = ipOf(layers);
  if (!ip) return { source: undefined, destination: undefined };
  const ports = findLayer(layers, "tcp") ?? findLayer(layers, "udp");
  const icmp = findLayer(layers, "icmp") ?? findLayer(layers, "icmpv6");
  const echo = icmp?.layer === "icmpv6" ? icmpv6Echo(icmp) : icmp && icmpEcho(icmp);
  const id = (of: Leg): string => (echo && leg === of ? ` id ${echo.identifier}` : "");
  const at = (address: string, port: number): string =>
    ip.layer === "ipv6" ? `[${address}]:${port}` : `${address}:${port}`;
  return {
    source: ports ? at(ip.source, ports.sourcePort) : ip.source + id("request"),
    destination: ports ? at(ip.destination, ports.destinationPort) : ip.destination + id("reply"),
  };
}

function ttlChanges(before: readonly Layer[], after: readonly Layer[], where: "" | "outer "): Change[] {
  const [from, to] = [ttlOf(before), ttlOf(after)];
  if (from === undefined || to === undefined || from === to) return [];
  const kind = where === "outer " ? "outer-ttl" : to === from - 1 ? "ttl-1" : "ttl";
  return [{ kind, text: `${where}ttl ${from} -> ${to}`, before: String(from), after: String(to) }];
}

export function ttlOf(layers: readonly Layer[]): number | undefined {
  const ip = ipOf(layers);
  return ip?.layer === "ipv6" ? ip.hopLimit : ip?.ttl;
}

function macChanges(kind: "mac" | "outer-mac", before: readonly Layer[], after: readonly Layer[]): Change[] {
  const text = (frame: EthernetLayer | undefined): string | undefined =>
    frame && `${frame.source} > ${frame.destination}`;
  const [from, to] = [text(findLayer(before, "ethernet")), text(findLayer(after, "ethernet"))];
  // A device without Ethernet headers (TUN) has none to compare.
  if (from === undefined || to === undefined) return [];
  return change(kind, from, to, kind === "mac" ? "mac" : "outer mac");
}

/** Fields that nothing on the way should touch, and the data. Checksums follow from the rest and are not compared. */
function otherChanges(before: readonly Layer[], after: readonly Layer[]): Change[] {
  const [from, to] = [ipOf(before), ipOf(after)];
  const data = (layers: readonly Layer[]): string => findLayer(layers, "payload")?.bytes.join(" ") ?? "";
  const tos = (ip: Ipv4Layer | Ipv6Layer | undefined): string | undefined =>
    ip && String(ip.layer === "ipv4" ? ip.tos : ip.trafficClass);
  const id = (ip: Ipv4Layer | Ipv6Layer | undefined): string | undefined =>
    ip?.layer === "ipv4" ? String(ip.identification) : undefined;
  const changes = [
    ...change("other", from?.layer, to?.layer, "protocol"),
    ...change("other", tos(from), tos(to), "traffic class"),
    ...change("other", id(from), id(to), "IP identification"),
  ];
  if (data(before) !== data(after)) changes.push({ kind: "other", text: "payload differs" });
  return changes;
}
