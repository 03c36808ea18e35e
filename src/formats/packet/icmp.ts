import { internetChecksum } from "./checksum.ts";
import { DecodeError } from "./errors.ts";

export const ICMP_HEADER_BYTES = 8;
/** include/uapi/linux/icmp.h */
export const ICMP_ECHOREPLY = 0;
export const ICMP_DEST_UNREACH = 3;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO = 8;
export const ICMP_TIME_EXCEEDED = 11;

/** An ICMP message (RFC 792). */
export interface Icmp {
  type: number;
  code: number;
  /** As found; left out, `encodeIcmp` computes it. */
  checksum?: number;
  /** The second word of the header: identifier and sequence of an echo, next-hop MTU of "fragmentation needed". */
  rest: number;
  payload: Uint8Array;
}

/** Identifier and sequence number of an echo request or reply. */
export interface Echo {
  readonly identifier: number;
  readonly sequence: number;
}

export function icmpEcho(icmp: Pick<Icmp, "type" | "rest">): Echo | undefined {
  if (icmp.type !== ICMP_ECHO && icmp.type !== ICMP_ECHOREPLY) return undefined;
  return { identifier: icmp.rest >>> 16, sequence: icmp.rest & 0xffff };
}

/** @throws {DecodeError} below 8 bytes */
export function decodeIcmp(bytes: Uint8Array): Icmp {
  return readIcmp("icmp", bytes);
}

/** ICMP and ICMPv6 have the same header (RFC 4443 §2.1). */
export function readIcmp(layer: "icmp" | "icmpv6", bytes: Uint8Array): Icmp & { checksum: number } {
  if (bytes.length < ICMP_HEADER_BYTES)
    throw new DecodeError(layer, bytes.length, `${bytes.length} bytes, a header has ${ICMP_HEADER_BYTES}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    type: view.getUint8(0),
    code: view.getUint8(1),
    checksum: view.getUint16(2),
    rest: view.getUint32(4),
    payload: bytes.subarray(ICMP_HEADER_BYTES),
  };
}

export function encodeIcmp(icmp: Icmp): Uint8Array {
  return writeIcmp(icmp, 0);
}

/** `start`: the sum of the pseudo header, which only ICMPv6 has. */
export function writeIcmp(icmp: Icmp, start: number): Uint8Array {
  const bytes = new Uint8Array(ICMP_HEADER_BYTES + icmp.payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, icmp.type);
  view.setUint8(1, icmp.code);
  view.setUint32(4, icmp.rest);
  bytes.set(icmp.payload, ICMP_HEADER_BYTES);
  view.setUint16(2, icmp.checksum ?? internetChecksum(bytes, start));
  return bytes;
}
