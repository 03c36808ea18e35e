import { type PseudoHeader, pseudoSum } from "./checksum.ts";
import { type Echo, ICMP_HEADER_BYTES, type Icmp, readIcmp, writeIcmp } from "./icmp.ts";
import { IPPROTO_ICMPV6 } from "./ipv4.ts";

/** include/uapi/linux/icmpv6.h, include/net/ndisc.h */
export const ICMPV6_DEST_UNREACH = 1;
export const ICMPV6_PKT_TOOBIG = 2;
export const ICMPV6_TIME_EXCEED = 3;
export const ICMPV6_PARAMPROB = 4;
export const ICMPV6_ECHO_REQUEST = 128;
export const ICMPV6_ECHO_REPLY = 129;
export const NDISC_ROUTER_SOLICITATION = 133;
export const NDISC_ROUTER_ADVERTISEMENT = 134;
export const NDISC_NEIGHBOUR_SOLICITATION = 135;
export const NDISC_NEIGHBOUR_ADVERTISEMENT = 136;

/** An ICMPv6 message (RFC 4443, RFC 4861); the same header as ICMP's, but the checksum covers the pseudo header. */
export interface Icmpv6 extends Icmp {}

export function icmpv6Echo(icmp: Pick<Icmpv6, "type" | "rest">): Echo | undefined {
  if (icmp.type !== ICMPV6_ECHO_REQUEST && icmp.type !== ICMPV6_ECHO_REPLY) return undefined;
  return { identifier: icmp.rest >>> 16, sequence: icmp.rest & 0xffff };
}

/** @throws {DecodeError} below 8 bytes */
export function decodeIcmpv6(bytes: Uint8Array): Icmpv6 {
  return readIcmp("icmpv6", bytes);
}

export function encodeIcmpv6(icmp: Icmpv6, addresses: PseudoHeader): Uint8Array {
  return writeIcmp(icmp, pseudoSum(addresses, IPPROTO_ICMPV6, ICMP_HEADER_BYTES + icmp.payload.length));
}
