import { type IpAddress, ipFromBytes, type MacAddress } from "../netip/index.ts";
import { ARPOP_REPLY, ARPOP_REQUEST } from "./arp.ts";
import { ETH_P_8021Q } from "./ethernet.ts";
import { ICMP_HEADER_BYTES, icmpEcho } from "./icmp.ts";
import {
  ICMPV6_ECHO_REQUEST,
  icmpv6Echo,
  NDISC_NEIGHBOUR_ADVERTISEMENT,
  NDISC_NEIGHBOUR_SOLICITATION,
} from "./icmpv6.ts";
import { fragmentOf, type Ipv6Extension } from "./ipv6.ts";
import type { ArpLayer, IcmpLayer, Icmpv6Layer, Ipv4Layer, Ipv6Layer, Layer, TcpLayer } from "./layer.ts";
import { formatTcpFlags, formatTcpOptions, TCP_FLAGS } from "./tcp.ts";

/** One line as `tcpdump -nn -S` prints it: `IP 10.244.1.2.41234 > 10.244.2.2.8080: UDP, length 20`. */
export function summarise(layers: readonly Layer[]): string {
  let line = "";
  let ip: Ipv4Layer | Ipv6Layer | undefined;
  for (const [i, layer] of layers.entries()) {
    switch (layer.layer) {
      case "ethernet":
        break;
      case "vlan":
        line += `vlan ${layer.id}, p ${layer.priority}${layer.etherType === ETH_P_8021Q ? ", " : ": "}`;
        break;
      case "arp":
        line += arpText(layer, layers[i + 1]);
        break;
      case "ipv4":
      case "ipv6":
        ip = layer;
        line += ipText(layer, layers[i + 1]);
        break;
      case "icmp":
        line += icmpText(layer);
        break;
      case "icmpv6":
        line += icmpv6Text(layer, layers[i + 1]);
        break;
      case "udp":
        if (layers[i + 1]?.layer !== "vxlan") line += `UDP, length ${layer.payloadLength}`;
        break;
      case "tcp":
        line += tcpText(layer);
        break;
      case "vxlan":
        line += `VXLAN, flags [${layer.flags & 8 ? "I" : "."}] (0x${hex(layer.flags, 2)}), vni ${layer.vni}: `;
        break;
      case "payload":
        line += payloadText(layers[i - 1], ip, layer.bytes.length);
        break;
      case "malformed":
        line += `${line === "" || line.endsWith(" ") ? "" : " "}[${layer.reason}]`;
        break;
    }
  }
  return line;
}

function hex(n: number, digits: number): string {
  return n.toString(16).padStart(digits, "0");
}

function arpText(arp: ArpLayer, next: Layer | undefined): string {
  const length = 28 + (next?.layer === "payload" ? next.bytes.length : 0);
  const asked = arp.targetMac === ("00:00:00:00:00:00" as MacAddress) ? "" : ` (${arp.targetMac})`;
  if (arp.operation === ARPOP_REQUEST)
    return `ARP, Request who-has ${arp.targetIp}${asked} tell ${arp.senderIp}, length ${length}`;
  if (arp.operation === ARPOP_REPLY) return `ARP, Reply ${arp.senderIp} is-at ${arp.senderMac}, length ${length}`;
  return `ARP, operation ${arp.operation}, length ${length}`;
}

function ipText(ip: Ipv4Layer | Ipv6Layer, next: Layer | undefined): string {
  const [from, to] =
    next?.layer === "tcp" || next?.layer === "udp" ? [`.${next.sourcePort}`, `.${next.destinationPort}`] : ["", ""];
  const extensions = ip.layer === "ipv6" ? ip.extensions.map((extension) => extensionText(extension, ip)).join("") : "";
  return `${ip.layer === "ipv4" ? "IP" : "IP6"} ${ip.source}${from} > ${ip.destination}${to}: ${extensions}`;
}

const EXTENSION_NAMES = new Map([
  [0, "HBH"],
  [43, "RT6"],
  [51, "AH"],
  [60, "DSTOPT"],
]);

function extensionText(extension: Ipv6Extension, ip: Ipv6Layer): string {
  const fragment = fragmentOf([extension]);
  if (fragment) return `frag (${fragment.offset}|${ip.payloadLength})${fragment.offset > 0 ? "" : " "}`;
  return `${EXTENSION_NAMES.get(extension.protocol) ?? `ext-${extension.protocol}`} `;
}

function tcpText(tcp: TcpLayer): string {
  const { SYN, FIN, RST, ACK, URG } = TCP_FLAGS;
  let line = `Flags [${formatTcpFlags(tcp.flags)}]`;
  if (tcp.payloadLength > 0) line += `, seq ${tcp.sequence}:${(tcp.sequence + tcp.payloadLength) >>> 0}`;
  else if (tcp.flags & (SYN | FIN | RST)) line += `, seq ${tcp.sequence}`;
  if (tcp.flags & ACK) line += `, ack ${tcp.acknowledgement}`;
  line += `, win ${tcp.window}`;
  if (tcp.flags & URG) line += `, urg ${tcp.urgent}`;
  if (tcp.options.length > 0) line += `, options [${formatTcpOptions(tcp.options)}]`;
  return `${line}, length ${tcp.payloadLength}`;
}

function payloadText(before: Layer | undefined, ip: Ipv4Layer | Ipv6Layer | undefined, length: number): string {
  if (before?.layer === "ethernet" || before?.layer === "vlan")
    return `ethertype 0x${hex(before.etherType, 4)}, length ${length}`;
  if (!ip || before !== ip) return "";
  if (ip.layer === "ipv4" && ip.fragmentOffset > 0)
    return `ip-proto-${ip.protocol} frag (${ip.fragmentOffset}|${ip.payloadLength})`;
  // Of IPv6 the fragment was told with the extension headers.
  if (ip.layer === "ipv6" && (fragmentOf(ip.extensions)?.offset ?? 0) > 0) return "";
  return `ip-proto-${ip.protocol}, length ${length}`;
}

/** What an ICMP error is about: `10.0.0.2 udp port 9`. */
function quotedText(quoted: readonly Layer[] | undefined): { to: string; port: string } {
  const [ip, next] = quoted ?? [];
  if (ip?.layer !== "ipv4" && ip?.layer !== "ipv6") return { to: "?", port: "port ?" };
  const port = next?.layer === "udp" || next?.layer === "tcp" ? `${next.layer} port ${next.destinationPort}` : "port ?";
  return { to: ip.destination, port };
}

function icmpText(icmp: IcmpLayer): string {
  const echo = icmpEcho(icmp);
  const length = icmp.payloadLength + ICMP_HEADER_BYTES;
  if (echo)
    return `ICMP echo ${icmp.type === 8 ? "request" : "reply"}, id ${echo.identifier}, seq ${echo.sequence}, length ${length}`;
  const { to, port } = quotedText(icmp.quoted);
  return `ICMP ${errorText(icmp, to, port)}, length ${length}`;
}

function errorText(icmp: IcmpLayer, to: string, port: string): string {
  if (icmp.type === 3) {
    if (icmp.code === 0) return `net ${to} unreachable`;
    if (icmp.code === 1) return `host ${to} unreachable`;
    if (icmp.code === 3) return `${to} ${port} unreachable`;
    if (icmp.code === 4) return `${to} unreachable - need to frag (mtu ${icmp.rest & 0xffff})`;
    if (icmp.code === 10) return `host ${to} unreachable - admin prohibited`;
    if (icmp.code === 13) return `host ${to} unreachable - admin prohibited filter`;
    return `${to} unreachable - #${icmp.code}`;
  }
  if (icmp.type === 11) return icmp.code === 1 ? "ip reassembly time exceeded" : "time exceeded in-transit";
  if (icmp.type === 5) return `redirect ${to}`;
  return `type-#${icmp.type}`;
}

const UNREACHABLE6 = new Map([
  [0, "unreachable route"],
  [1, "unreachable prohibited"],
  [3, "unreachable address"],
  [4, "unreachable port"],
]);

function icmpv6Text(icmp: Icmpv6Layer, next: Layer | undefined): string {
  const length = icmp.payloadLength + ICMP_HEADER_BYTES;
  const echo = icmpv6Echo(icmp);
  if (echo) {
    const kind = icmp.type === ICMPV6_ECHO_REQUEST ? "request" : "reply";
    return `ICMP6, echo ${kind}, id ${echo.identifier}, seq ${echo.sequence}, length ${length}`;
  }
  return `ICMP6, ${message6Text(icmp, next)}, length ${length}`;
}

function message6Text(icmp: Icmpv6Layer, next: Layer | undefined): string {
  const { to, port } = quotedText(icmp.quoted);
  switch (icmp.type) {
    case 1:
      return `destination unreachable, ${UNREACHABLE6.get(icmp.code) ?? `code-#${icmp.code}`}, ${icmp.code === 4 ? `${to} ${port}` : to}`;
    case 2:
      return `packet too big, mtu ${icmp.rest}`;
    case 3:
      return icmp.code === 1 ? "ip reassembly time exceeded" : `time exceeded in-transit for ${to}`;
    case 133:
      return "router solicitation";
    case 134:
      return "router advertisement";
    case NDISC_NEIGHBOUR_SOLICITATION:
      return `neighbor solicitation, who has ${targetOf(next)}`;
    case NDISC_NEIGHBOUR_ADVERTISEMENT:
      return `neighbor advertisement, tgt is ${targetOf(next)}`;
    case 143:
      return "multicast listener report v2";
    default:
      return `type-#${icmp.type}`;
  }
}

function targetOf(next: Layer | undefined): IpAddress | "?" {
  return next?.layer === "payload" && next.bytes.length >= 16 ? ipFromBytes(next.bytes.subarray(0, 16)) : "?";
}
