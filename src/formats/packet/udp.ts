import { internetChecksum, type PseudoHeader, pseudoSum } from "./checksum.ts";
import { DecodeError } from "./errors.ts";
import { IPPROTO_UDP } from "./ipv4.ts";

export const UDP_HEADER_BYTES = 8;

/** A UDP datagram (RFC 768). */
export interface Udp {
  sourcePort: number;
  destinationPort: number;
  /** As found, zero when there is none; left out, `encodeUdp` computes it. */
  checksum?: number;
  payload: Uint8Array;
}

/** The header, and how far it says the datagram reaches. */
export function readUdp(bytes: Uint8Array): {
  header: Omit<Udp, "payload"> & { checksum: number };
  totalBytes: number;
} {
  if (bytes.length < UDP_HEADER_BYTES)
    throw new DecodeError("udp", bytes.length, `${bytes.length} bytes, a header has ${UDP_HEADER_BYTES}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const totalBytes = view.getUint16(4);
  if (totalBytes < UDP_HEADER_BYTES) throw new DecodeError("udp", 4, `length ${totalBytes} is inside the header`);
  const header = {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    checksum: view.getUint16(6),
  };
  return { header, totalBytes };
}

/** @throws {DecodeError} */
export function decodeUdp(bytes: Uint8Array): Udp {
  const { header, totalBytes } = readUdp(bytes);
  if (totalBytes > bytes.length)
    throw new DecodeError("udp", bytes.length, `length ${totalBytes}, only ${bytes.length} bytes`);
  return { ...header, payload: bytes.subarray(UDP_HEADER_BYTES, totalBytes) };
}

/** Without `addresses` and without a checksum the field is zero: "none" (allowed over IPv4, and what VXLAN does). */
export function encodeUdp(udp: Udp, addresses?: PseudoHeader): Uint8Array {
  const bytes = new Uint8Array(UDP_HEADER_BYTES + udp.payload.length);
  if (bytes.length > 0xffff)
    throw new RangeError(`Cannot encode a UDP datagram of ${bytes.length} bytes: the limit is 65535`);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, udp.sourcePort);
  view.setUint16(2, udp.destinationPort);
  view.setUint16(4, bytes.length);
  bytes.set(udp.payload, UDP_HEADER_BYTES);
  view.setUint16(6, udp.checksum ?? computed(bytes, addresses));
  return bytes;
}

function computed(bytes: Uint8Array, addresses: PseudoHeader | undefined): number {
  if (!addresses) return 0;
  // Zero means "no checksum", so a sum that comes out as zero is sent as its other form.
  return internetChecksum(bytes, pseudoSum(addresses, IPPROTO_UDP, bytes.length)) || 0xffff;
}
