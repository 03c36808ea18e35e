import {
  dissect,
  findLayer,
  ICMP_ECHO,
  ICMPV6_ECHO_REQUEST,
  icmpEcho,
  icmpv6Echo,
  type Layer,
  TCP_FLAGS,
  type TcpLayer,
} from "../formats/packet/index.ts";
import type { CapturedFrame } from "../kernel/index.ts";
import { ipOf, type Leg, openEnvelope, type ProbeProtocol } from "../model/index.ts";
import type { ProbeMatch } from "./probe.ts";

/** One frame at one device, taken apart. */
export interface Sighting {
  readonly node: string;
  readonly netns: string;
  readonly captured: CapturedFrame;
  readonly layers: readonly Layer[];
  /** The packet that walks: without a VXLAN carrier. */
  readonly inner: readonly Layer[];
}

/** ARPHRD_NONE: a TUN device's frames begin with the IP header. */
const ARPHRD_NONE = 65534;

export function sight(node: string, netns: string, captured: CapturedFrame): Sighting {
  const { frame, hardwareType } = captured;
  const start = hardwareType !== ARPHRD_NONE ? "ethernet" : (frame[0] ?? 0) >> 4 === 6 ? "ipv6" : "ipv4";
  const layers = dissect(frame, start);
  return { node, netns, captured, layers, inner: openEnvelope(layers).inner };
}

/** Which of the probe's two packets this is, by its content; undefined: some other packet. */
export function legOfSighting({ inner }: Sighting, match: ProbeMatch): Leg | undefined {
  if (!speaks(inner, match.protocol)) return undefined;
  const payload = findLayer(inner, "payload")?.bytes ?? new Uint8Array();
  const [isRequest, isReply] = [includes(payload, match.request), includes(payload, match.reply)];
  if (match.protocol === "icmp") {
    const icmp = findLayer(inner, "icmp") ?? findLayer(inner, "icmpv6");
    const echo = icmp?.layer === "icmpv6" ? icmpv6Echo(icmp) : icmp && icmpEcho(icmp);
    if (!echo) return undefined;
    const asks = icmp?.type === (icmp?.layer === "icmpv6" ? ICMPV6_ECHO_REQUEST : ICMP_ECHO);
    return asks ? (isRequest ? "request" : undefined) : isReply ? "reply" : undefined;
  }
  // A server may answer with the question in the answer, so the reply's mark decides.
  return isReply ? "reply" : isRequest ? "request" : undefined;
}

function speaks(inner: readonly Layer[], protocol: ProbeProtocol): boolean {
  if (protocol === "icmp") return inner.some((layer) => layer.layer === "icmp" || layer.layer === "icmpv6");
  return findLayer(inner, protocol) !== undefined;
}

export function includes(bytes: Uint8Array, text: string): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(text);
}

/** Who asks whom, as the packet is where it is seen. NAT makes it another one elsewhere. */
export interface Flow {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

export function flowOf(inner: readonly Layer[]): Flow | undefined {
  const ip = ipOf(inner);
  const ports = findLayer(inner, "tcp") ?? findLayer(inner, "udp");
  if (!ip || !ports) return undefined;
  const { sourcePort, destinationPort } = ports;
  return { source: ip.source, destination: ip.destination, sourcePort, destinationPort };
}

/** A SYN that opens a connection, not its answer. */
export function opensConnection(tcp: TcpLayer | undefined): tcp is TcpLayer {
  return tcp !== undefined && (tcp.flags & (TCP_FLAGS.SYN | TCP_FLAGS.ACK)) === TCP_FLAGS.SYN;
}

export function isAt(sighting: Sighting, end: { namespace: string; device: string } | undefined): boolean {
  return sighting.netns === end?.namespace && sighting.captured.device === end.device;
}
