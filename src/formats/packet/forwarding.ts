import { ICMP_DEST_UNREACH } from "./icmp.ts";
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, IPV4_HEADER_BYTES } from "./ipv4.ts";
import { foldSum, type PacketMemory, pseudoHeaderSum, sumBytes } from "./packet-memory.ts";

/** Why bytes are no IPv4 packet that may be forwarded. */
export type Malformed = "short" | "version" | "header-length" | "total-length";

/** Looks at as much of a packet as a forwarder must; undefined: it is a whole IPv4 packet. */
export function malformation(view: DataView, ip: number, length: number): Malformed | undefined {
  if (length < IPV4_HEADER_BYTES) return "short";
  const first = view.getUint8(ip);
  if (first >> 4 !== 4) return "version";
  const headerBytes = (first & 15) * 4;
  if (headerBytes < IPV4_HEADER_BYTES || headerBytes > length) return "header-length";
  const total = view.getUint16(ip + 2);
  return total < headerBytes || total > length ? "total-length" : undefined;
}

/** Offsets of IPv4's fields. */
const [FRAGMENT, TTL, CHECKSUM, SOURCE] = [6, 8, 10, 12];

export function isLaterFragment(view: DataView, ip: number): boolean {
  return (view.getUint16(ip + FRAGMENT) & 0x1fff) !== 0;
}

/**
 * One hop less to live, and the header's checksum patched (RFC 1624 §3: HC' = ~(~HC + ~m + m')), so that a header that
 * was wrong stays wrong. False: the packet has reached its end, and is unchanged.
 */
export function decrementTtl(view: DataView, ip: number): boolean {
  const ttl = view.getUint8(ip + TTL);
  if (ttl <= 1) return false;
  view.setUint8(ip + TTL, ttl - 1);
  // m is the word of TTL and protocol, of which the low byte does not change: ~m + m' is 0xffff - 0x0100.
  const sum = (~view.getUint16(ip + CHECKSUM) & 0xffff) + 0xfeff;
  view.setUint16(ip + CHECKSUM, ~((sum & 0xffff) + (sum >>> 16)) & 0xffff);
  return true;
}

/**
 * Finishes a checksum that holds the sum of the pseudo header alone (CHECKSUM_PARTIAL): what a device does that can.
 * @param start of the transport header @param field offset of the checksum within it @param end of the packet
 */
export function completeChecksum(view: DataView, start: number, field: number, end: number): void {
  const checksum = ~foldSum(sumBytes(view, start, end - start)) & 0xffff;
  // UDP's zero says that there is none (RFC 768), and TCP takes either.
  view.setUint16(start + field, checksum || 0xffff, true);
}

/** Whether the checksum of the TCP segment or UDP datagram is right; a UDP datagram without one is not. */
export function isTransportValid(view: DataView, ip: number, headerBytes: number, protocol: number): boolean {
  const length = view.getUint16(ip + 2) - headerBytes;
  if (protocol === IPPROTO_UDP && view.getUint16(ip + headerBytes + 6) === 0) return false;
  const sum = pseudoHeaderSum(view, ip, protocol, length) + sumBytes(view, ip + headerBytes, length);
  return (protocol === IPPROTO_TCP || protocol === IPPROTO_UDP) && foldSum(sum) === 0xffff;
}

/** Writes the header's checksum, whatever stood there. */
export function writeIpv4Checksum(view: DataView, ip: number, headerBytes: number): void {
  view.setUint16(ip + CHECKSUM, 0);
  view.setUint16(ip + CHECKSUM, ~foldSum(sumBytes(view, ip, headerBytes)) & 0xffff, true);
}

/** The time to live of an answer, as Flannel gives it. */
const UNREACHABLE_TTL = 8;
/** IPv4 and ICMP header, and of the packet its header with options and eight bytes. */
export const UNREACHABLE_MAX_BYTES: number = IPV4_HEADER_BYTES + 8 + 60 + 8;

/**
 * Writes an ICMP "net unreachable" (RFC 792) about the packet at `ip` to `at`, which has room for
 * UNREACHABLE_MAX_BYTES. Gives its length; 0 when there must be none: about fragments but the first and to multicast
 * addresses (RFC 1122 §3.2.2), and, as Flannel has it, about ICMP of any kind.
 * @param source of the answer, as it lies in a packet: four bytes, read little-endian
 */
export function writeNetUnreachable(memory: PacketMemory, ip: number, at: number, source: number): number {
  const { bytes, view } = memory;
  if (view.getUint8(ip + 9) === IPPROTO_ICMP || isLaterFragment(view, ip)) return 0;
  if (view.getUint8(ip + 16) >= 224) return 0;
  const quoted = Math.min((view.getUint8(ip) & 15) * 4 + 8, view.getUint16(ip + 2));
  const length = IPV4_HEADER_BYTES + 8 + quoted;
  bytes.fill(0, at, at + length);
  view.setUint8(at, 0x45);
  view.setUint16(at + 2, length);
  view.setUint8(at + TTL, UNREACHABLE_TTL);
  view.setUint8(at + 9, IPPROTO_ICMP);
  view.setUint32(at + SOURCE, source, true);
  view.setUint32(at + 16, view.getUint32(ip + SOURCE, true), true);
  writeIpv4Checksum(view, at, IPV4_HEADER_BYTES);
  const icmp = at + IPV4_HEADER_BYTES;
  view.setUint8(icmp, ICMP_DEST_UNREACH);
  bytes.copyWithin(icmp + 8, ip, ip + quoted);
  view.setUint16(icmp + 2, ~foldSum(sumBytes(view, icmp, 8 + quoted)) & 0xffff, true);
  return length;
}
