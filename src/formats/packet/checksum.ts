import { type IpAddress, ipToBytes } from "../netip/index.ts";

/**
 * What a checksum field says. `partial`: only the pseudo header is summed in, the kernel left the rest to the device
 * (CHECKSUM_PARTIAL), as between two ends of a veth pair. `none`: UDP's zero. `unchecked`: not all bytes are there.
 */
export type ChecksumState = "valid" | "invalid" | "partial" | "none" | "unchecked";

/** The addresses that UDP, TCP and ICMPv6 sum in with their own bytes (RFC 9293 §3.1, RFC 8200 §8.1). */
export interface PseudoHeader {
  readonly source: IpAddress;
  readonly destination: IpAddress;
}

/** The ones' complement sum of RFC 1071 over `bytes`, folded to 16 bits, not complemented. */
export function onesSum(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
    if (sum > 0x7fff0000) sum = fold(sum);
  }
  return fold(sum);
}

function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}

/** The Internet checksum (RFC 1071) of `bytes`, whose own checksum field must be zero. */
export function internetChecksum(bytes: Uint8Array, start = 0): number {
  return ~onesSum(bytes, start) & 0xffff;
}

/** The folded sum of the pseudo header, to begin a transport checksum with. */
export function pseudoSum(addresses: PseudoHeader, protocol: number, length: number): number {
  const sum = onesSum(ipToBytes(addresses.destination), onesSum(ipToBytes(addresses.source)));
  return fold(sum + protocol + (length >>> 16) + (length & 0xffff));
}

/** The state of the checksum found in `segment` (a whole UDP, TCP or ICMPv6 message). */
export function checkTransport(
  segment: Uint8Array,
  found: number,
  addresses: PseudoHeader,
  protocol: number,
): ChecksumState {
  const pseudo = pseudoSum(addresses, protocol, segment.length);
  if (onesSum(segment, pseudo) === 0xffff) return "valid";
  return found === pseudo ? "partial" : "invalid";
}
