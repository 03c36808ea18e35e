import { decodeArp } from "./arp.ts";
import { type ChecksumState, checkTransport, onesSum, type PseudoHeader } from "./checksum.ts";
import { DecodeError } from "./errors.ts";
import { decodeEthernet, ETH_P_8021Q, ETH_P_ARP, ETH_P_IP, ETH_P_IPV6 } from "./ethernet.ts";
import {
  decodeIcmp,
  ICMP_DEST_UNREACH,
  ICMP_HEADER_BYTES,
  ICMP_REDIRECT,
  ICMP_TIME_EXCEEDED,
  type Icmp,
} from "./icmp.ts";
import { decodeIcmpv6, ICMPV6_DEST_UNREACH, ICMPV6_PARAMPROB } from "./icmpv6.ts";
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP, readIpv4 } from "./ipv4.ts";
import { fragmentOf, readIpv6 } from "./ipv6.ts";
import type { Layer } from "./layer.ts";
import { decodeTcp } from "./tcp.ts";
import { readUdp, UDP_HEADER_BYTES } from "./udp.ts";
import { decodeVxlan, VXLAN_PORTS } from "./vxlan.ts";

/** The bytes of the layer to come, and what the layers before know of it. */
interface Rest {
  readonly bytes: Uint8Array;
  /** How many bytes the packet claims to have here; more than there are when the capture or a fragment cut it. */
  readonly claimed: number;
  readonly carrier?: PseudoHeader | undefined;
  /** Of a fragment only some bytes are here, which is as it should be. */
  readonly isFragment?: boolean;
  /** Inside an ICMP error: a packet's start only, and no quotes of its own. */
  readonly isQuote?: boolean;
}

/** Reads one layer, pushes it, and says with which function to go on; undefined: the rest is payload. */
type Step = (rest: Rest, layers: Layer[]) => { readonly step?: Step | undefined; readonly rest: Rest };

/**
 * Takes a frame apart as far as it goes. Never throws and never reads past the frame: what cannot be read ends in a
 * `malformed` layer, all else in a `payload` layer (which may be empty). A cut capture has both.
 */
export function dissect(frame: Uint8Array, start: "ethernet" | "ipv4" | "ipv6" = "ethernet"): Layer[] {
  return run(START[start], { bytes: frame, claimed: frame.length });
}

function run(first: Step, from: Rest): Layer[] {
  const layers: Layer[] = [];
  let step: Step | undefined = first;
  let rest = from;
  // Each step takes at least one byte off, so this ends.
  while (step) {
    try {
      ({ step, rest } = step(rest, layers));
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      layers.push({ layer: "malformed", reason: error.message, bytes: rest.bytes });
      return layers;
    }
  }
  layers.push({ layer: "payload", bytes: rest.bytes });
  if (rest.claimed > rest.bytes.length && !rest.isFragment && !rest.isQuote)
    layers.push({
      layer: "malformed",
      reason: `cut off: ${rest.claimed - rest.bytes.length} of ${rest.claimed} payload bytes are not in the capture`,
      bytes: new Uint8Array(),
    });
  return layers;
}

const ethernet: Step = ({ bytes, ...rest }, layers) => {
  const { payload, ...header } = decodeEthernet(bytes);
  layers.push({ layer: "ethernet", ...header });
  return byEtherType(header.etherType, { ...rest, bytes: payload, claimed: payload.length });
};

const vlan: Step = ({ bytes, ...rest }, layers) => {
  if (bytes.length < 4) throw new DecodeError("vlan", bytes.length, `${bytes.length} bytes, a tag has 4`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, 4);
  const etherType = view.getUint16(2);
  layers.push({ layer: "vlan", id: view.getUint16(0) & 0xfff, priority: view.getUint16(0) >> 13, etherType });
  return byEtherType(etherType, { ...rest, bytes: bytes.subarray(4), claimed: bytes.length - 4 });
};

const arp: Step = ({ bytes, ...rest }, layers) => {
  layers.push({ layer: "arp", ...decodeArp(bytes) });
  return { rest: { ...rest, bytes: bytes.subarray(28), claimed: bytes.length - 28 } };
};

const ipv4: Step = ({ bytes, isQuote }, layers) => {
  const { header, headerBytes, totalBytes } = readIpv4(bytes);
  const checksumState = onesSum(bytes.subarray(0, headerBytes)) === 0xffff ? "valid" : "invalid";
  const payloadLength = totalBytes - headerBytes;
  layers.push({ layer: "ipv4", ...header, checksumState, payloadLength });
  const rest = ipRest(bytes.subarray(headerBytes, totalBytes), payloadLength, header, isQuote);
  const isFragment = header.moreFragments || header.fragmentOffset > 0;
  return byProtocol(header.protocol, header.fragmentOffset, { ...rest, isFragment });
};

const ipv6: Step = ({ bytes, isQuote }, layers) => {
  const { header, headerBytes, totalBytes } = readIpv6(bytes);
  const payloadLength = totalBytes - headerBytes;
  layers.push({ layer: "ipv6", ...header, payloadLength });
  const rest = ipRest(bytes.subarray(headerBytes, totalBytes), payloadLength, header, isQuote);
  const fragment = fragmentOf(header.extensions);
  const isFragment = fragment !== undefined && (fragment.moreFragments || fragment.offset > 0);
  return byProtocol(header.protocol, fragment?.offset ?? 0, { ...rest, isFragment });
};

function ipRest(bytes: Uint8Array, claimed: number, header: PseudoHeader, isQuote = false): Rest {
  return { bytes, claimed, carrier: { source: header.source, destination: header.destination }, isQuote };
}

const icmp: Step = (rest, layers) => {
  const { payload, ...header } = decodeIcmp(rest.bytes);
  const state = onesSum(rest.bytes) === 0xffff ? "valid" : "invalid";
  const isError = [ICMP_DEST_UNREACH, ICMP_REDIRECT, ICMP_TIME_EXCEEDED].includes(header.type);
  layers.push({ layer: "icmp", ...header, ...icmpParts(rest, payload, state, isError ? ipv4 : undefined) });
  return { rest: { ...rest, bytes: payload, claimed: rest.claimed - ICMP_HEADER_BYTES } };
};

const icmpv6: Step = (rest, layers) => {
  const { payload, ...header } = decodeIcmpv6(rest.bytes);
  const state = transportState(rest, rest.bytes, header.checksum ?? 0, IPPROTO_ICMPV6);
  const isError = header.type >= ICMPV6_DEST_UNREACH && header.type <= ICMPV6_PARAMPROB;
  layers.push({ layer: "icmpv6", ...header, ...icmpParts(rest, payload, state, isError ? ipv6 : undefined) });
  return { rest: { ...rest, bytes: payload, claimed: rest.claimed - ICMP_HEADER_BYTES } };
};

function icmpParts(
  rest: Rest,
  payload: Icmp["payload"],
  checksumState: ChecksumState,
  quote: Step | undefined,
): { checksumState: ChecksumState; payloadLength: number; quoted?: readonly Layer[] } {
  return {
    checksumState: isWhole(rest) ? checksumState : "unchecked",
    payloadLength: rest.claimed - ICMP_HEADER_BYTES,
    // A quote of a quote does not exist (RFC 1122 §3.2.2); refusing it also bounds the depth.
    ...(quote && !rest.isQuote
      ? { quoted: run(quote, { bytes: payload, claimed: payload.length, isQuote: true }) }
      : {}),
  };
}

const udp: Step = (rest, layers) => {
  const { header, totalBytes } = readUdp(rest.bytes);
  if (totalBytes > rest.claimed && !rest.isFragment && !rest.isQuote)
    throw new DecodeError("udp", 4, `length ${totalBytes}, only ${rest.claimed} bytes in the packet`);
  const bytes = rest.bytes.subarray(0, totalBytes);
  const state = header.checksum === 0 ? "none" : transportState(rest, bytes, header.checksum, IPPROTO_UDP);
  layers.push({ layer: "udp", ...header, checksumState: state, payloadLength: totalBytes - UDP_HEADER_BYTES });
  const inner = { ...rest, bytes: bytes.subarray(UDP_HEADER_BYTES), claimed: totalBytes - UDP_HEADER_BYTES };
  return { step: !rest.isQuote && VXLAN_PORTS.includes(header.destinationPort) ? vxlan : undefined, rest: inner };
};

const tcp: Step = (rest, layers) => {
  const { payload, ...header } = decodeTcp(rest.bytes);
  const payloadLength = rest.claimed - (rest.bytes.length - payload.length);
  const state = transportState(rest, rest.bytes, header.checksum, IPPROTO_TCP);
  layers.push({ layer: "tcp", ...header, checksumState: state, payloadLength });
  return { rest: { ...rest, bytes: payload, claimed: payloadLength } };
};

const vxlan: Step = ({ bytes }, layers) => {
  const { payload, ...header } = decodeVxlan(bytes);
  layers.push({ layer: "vxlan", ...header });
  return { step: ethernet, rest: { bytes: payload, claimed: payload.length } };
};

const START = { ethernet, ipv4, ipv6 };
const ETHER_TYPES = new Map([
  [ETH_P_8021Q, vlan],
  [ETH_P_ARP, arp],
  [ETH_P_IP, ipv4],
  [ETH_P_IPV6, ipv6],
]);
const PROTOCOLS = new Map([
  [IPPROTO_ICMP, icmp],
  [IPPROTO_TCP, tcp],
  [IPPROTO_UDP, udp],
  [IPPROTO_ICMPV6, icmpv6],
]);

function byEtherType(etherType: number, rest: Rest): { step?: Step | undefined; rest: Rest } {
  return { step: ETHER_TYPES.get(etherType), rest };
}

function byProtocol(protocol: number, fragmentOffset: number, rest: Rest): { step?: Step | undefined; rest: Rest } {
  return { step: fragmentOffset > 0 ? undefined : PROTOCOLS.get(protocol), rest };
}

function isWhole(rest: Rest): boolean {
  return !rest.isFragment && !rest.isQuote && rest.bytes.length >= rest.claimed;
}

function transportState(rest: Rest, segment: Uint8Array, found: number, protocol: number): ChecksumState {
  return rest.carrier && isWhole(rest) ? checkTransport(segment, found, rest.carrier, protocol) : "unchecked";
}
