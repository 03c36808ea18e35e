import {
  findLayer,
  formatTcpFlags,
  ICMP_ECHO,
  ICMPV6_ECHO_REQUEST,
  icmpEcho,
  icmpv6Echo,
  type Layer,
  summarise,
} from "../formats/packet/index.ts";
import { type Change, type Hop, ipOf, type Leg, openEnvelope, ttlOf } from "../model/index.ts";

export interface HopTableOptions {
  /** Terminal width; 120 unless said. */
  readonly columns?: number;
  /** Also print what the kernel's tracepoints said at each hop. */
  readonly evidence?: boolean;
}

const HEAD = ["#", "µs", "node", "namespace", "device", "", "packet, what carries it (in), what changed (*)"];

/** The hops as a text table: time, node, namespace, device, direction, packet (inner and outer), what changed. */
export function hopTable(hops: readonly Hop[], options: HopTableOptions = {}): string {
  const { columns = 120, evidence = false } = options;
  const rows = hops.map((hop) => [
    String(hop.index),
    hop.tUs.toFixed(1),
    ...[hop.node, hop.netns, hop.device, hop.direction],
  ]);
  const widths = HEAD.slice(0, -1).map((head, i) => Math.max(head.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const indent = widths.reduce((sum, width) => sum + width + 2, 0);
  const line = (cells: readonly string[], text: string): string => {
    const start = cells.map((cell, i) => (i < 2 ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)));
    return `${start.join("  ")}  ${text}`.trimEnd();
  };
  const lines = [line(HEAD.slice(0, -1), HEAD.at(-1) ?? "")];
  let leg: Leg | undefined;
  hops.forEach((hop, i) => {
    if (hop.leg !== leg) lines.push(hop.leg);
    leg = hop.leg;
    const told = [...tellPacket(hop), ...(evidence ? hop.evidence.map((text) => `! ${text}`) : [])];
    const [first = "", ...more] = told.flatMap((text) => wrap(text, Math.max(20, columns - indent)));
    lines.push(line(rows[i] ?? [], first), ...more.map((text) => `${" ".repeat(indent)}${text}`));
  });
  return lines.join("\n");
}

function tellPacket(hop: Hop): string[] {
  const { outer, inner, vni } = openEnvelope(hop.packet);
  const lines = [packetText(inner)];
  if (vni !== undefined) lines.push(`in vxlan vni ${vni}, ${carrierText(outer)}`);
  // That a checksum is left to the device is so on every veth; what is left is not as it should be.
  const notes = hop.notes.filter((note) => !note.endsWith("left to the device"));
  if (notes.length > 0) lines.push(`! ${notes.join("; ")}`);
  if (hop.diff.length > 0) lines.push(`* ${hop.diff.map(changeText).join("; ")}`);
  return lines;
}

/** `192.168.100.11:53384 > 192.168.100.12:8472, ttl 64` */
function carrierText(layers: readonly Layer[]): string {
  const [ip, udp] = [ipOf(layers), findLayer(layers, "udp")];
  if (!ip || !udp) return summarise(layers);
  return `${at(ip.source, udp.sourcePort)} > ${at(ip.destination, udp.destinationPort)}, ttl ${ttlOf(layers)}`;
}

function at(address: string, port: number): string {
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}

/** `udp 10.244.1.2:41234 > 10.244.2.2:8080, 107 B, ttl 64` */
function packetText(layers: readonly Layer[]): string {
  const ip = ipOf(layers);
  if (!ip) return summarise(layers);
  const [tcp, udp] = [findLayer(layers, "tcp"), findLayer(layers, "udp")];
  const ttl = `ttl ${ttlOf(layers)}`;
  const ports = tcp ?? udp;
  if (ports) {
    const kind = tcp ? `tcp [${formatTcpFlags(tcp.flags)}]` : "udp";
    const ends = `${at(ip.source, ports.sourcePort)} > ${at(ip.destination, ports.destinationPort)}`;
    return `${kind} ${ends}, ${ports.payloadLength} B, ${ttl}`;
  }
  const icmp = findLayer(layers, "icmp") ?? findLayer(layers, "icmpv6");
  const echo = icmp?.layer === "icmpv6" ? icmpv6Echo(icmp) : icmp && icmpEcho(icmp);
  if (!icmp || !echo) return `${summarise(layers)}, ${ttl}`;
  const kind = icmp.type === ICMP_ECHO || icmp.type === ICMPV6_ECHO_REQUEST ? "request" : "reply";
  const numbers = `id ${echo.identifier} seq ${echo.sequence}`;
  return `icmp ${kind} ${ip.source} > ${ip.destination}, ${numbers}, ${icmp.payloadLength} B, ${ttl}`;
}

function changeText({ kind, text, before, after }: Change): string {
  if (kind === "mac" || kind === "outer-mac") return `${kind} ${after}`;
  if (kind === "ttl-1" || kind.startsWith("vxlan-")) return kind === "ttl-1" ? text : kind;
  return kind.endsWith("nat") ? `${kind} ${before} -> ${after}` : text;
}

/** Breaks at spaces; continued lines are set in by two. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = ` `;
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
