import { type Ipv4Address, ipFromBytes, ipToBytes } from "../netip/index.ts";
import { internetChecksum } from "./checksum.ts";
import { DecodeError } from "./errors.ts";

export const IPV4_HEADER_BYTES = 20;
/** include/uapi/linux/in.h; the same numbers are IPv6's next headers. */
export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_ICMPV6 = 58;

/** An IPv4 packet (RFC 791). */
export interface Ipv4 {
  /** DSCP and ECN. */
  tos: number;
  identification: number;
  /** The "must be zero" flag, kept so that a packet survives decode and encode unchanged. */
  reserved: boolean;
  dontFragment: boolean;
  moreFragments: boolean;
  /** In bytes, a multiple of eight. */
  fragmentOffset: number;
  ttl: number;
  protocol: number;
  /** As found; left out, `encodeIpv4` computes it. */
  checksum?: number;
  source: Ipv4Address;
  destination: Ipv4Address;
  /** Raw, padded to a multiple of four. */
  options: Uint8Array;
  payload: Uint8Array;
}

/** The header, and how far it says the packet reaches; `bytes` may end before that in a cut capture. */
export function readIpv4(bytes: Uint8Array): {
  header: Omit<Ipv4, "payload">;
  headerBytes: number;
  totalBytes: number;
} {
  if (bytes.length < IPV4_HEADER_BYTES)
    throw new DecodeError("ipv4", bytes.length, `${bytes.length} bytes, a header has ${IPV4_HEADER_BYTES}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const version = view.getUint8(0) >> 4;
  if (version !== 4) throw new DecodeError("ipv4", 0, `version ${version}`);
  const headerBytes = (view.getUint8(0) & 15) * 4;
  if (headerBytes < IPV4_HEADER_BYTES) throw new DecodeError("ipv4", 0, `header length ${headerBytes}`);
  if (headerBytes > bytes.length)
    throw new DecodeError("ipv4", bytes.length, `header length ${headerBytes}, only ${bytes.length} bytes`);
  const totalBytes = view.getUint16(2);
  if (totalBytes < headerBytes) throw new DecodeError("ipv4", 2, `total length ${totalBytes} is inside the header`);
  const fragment = view.getUint16(6);
  const header = {
    tos: view.getUint8(1),
    identification: view.getUint16(4),
    reserved: (fragment & 0x8000) !== 0,
    dontFragment: (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    fragmentOffset: (fragment & 0x1fff) * 8,
    ttl: view.getUint8(8),
    protocol: view.getUint8(9),
    checksum: view.getUint16(10),
    source: ipFromBytes(bytes.subarray(12, 16)) as Ipv4Address,
    destination: ipFromBytes(bytes.subarray(16, 20)) as Ipv4Address,
    options: bytes.subarray(IPV4_HEADER_BYTES, headerBytes),
  };
  return { header, headerBytes, totalBytes };
}

/** Bytes after the total length (Ethernet padding) are left out. @throws {DecodeError} */
export function decodeIpv4(bytes: Uint8Array): Ipv4 {
  const { header, headerBytes, totalBytes } = readIpv4(bytes);
  if (totalBytes > bytes.length)
    throw new DecodeError("ipv4", bytes.length, `total length ${totalBytes}, only ${bytes.length} bytes`);
  return { ...header, payload: bytes.subarray(headerBytes, totalBytes) };
}

export function encodeIpv4(packet: Ipv4): Uint8Array {
  const { options, payload } = packet;
  if (options.length % 4 !== 0 || options.length > 40)
    throw new RangeError(`Cannot encode IPv4 options of ${options.length} bytes: want at most 40, a multiple of 4`);
  const headerBytes = IPV4_HEADER_BYTES + options.length;
  if (headerBytes + payload.length > 0xffff)
    throw new RangeError(`Cannot encode an IPv4 packet of ${headerBytes + payload.length} bytes: the limit is 65535`);
  if (packet.fragmentOffset % 8 !== 0 || packet.fragmentOffset > 0x1fff * 8)
    throw new RangeError(
      `Cannot encode IPv4 fragment offset ${packet.fragmentOffset}: want a multiple of 8 below 65536`,
    );
  const bytes = new Uint8Array(headerBytes + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, 0x40 | (headerBytes / 4));
  view.setUint8(1, packet.tos);
  view.setUint16(2, bytes.length);
  view.setUint16(4, packet.identification);
  const flags =
    (packet.reserved ? 0x8000 : 0) | (packet.dontFragment ? 0x4000 : 0) | (packet.moreFragments ? 0x2000 : 0);
  view.setUint16(6, flags | (packet.fragmentOffset / 8));
  view.setUint8(8, packet.ttl);
  view.setUint8(9, packet.protocol);
  bytes.set(ipToBytes(packet.source), 12);
  bytes.set(ipToBytes(packet.destination), 16);
  bytes.set(options, IPV4_HEADER_BYTES);
  view.setUint16(10, packet.checksum ?? internetChecksum(bytes.subarray(0, headerBytes)));
  bytes.set(payload, headerBytes);
  return bytes;
}
