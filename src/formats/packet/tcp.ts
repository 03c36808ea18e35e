import { internetChecksum, type PseudoHeader, pseudoSum } from "./checksum.ts";
import { DecodeError } from "./errors.ts";
import { IPPROTO_TCP } from "./ipv4.ts";

export const TCP_HEADER_BYTES = 20;
export const TCP_FLAGS = {
  FIN: 0x01,
  SYN: 0x02,
  RST: 0x04,
  PSH: 0x08,
  ACK: 0x10,
  URG: 0x20,
  ECE: 0x40,
  CWR: 0x80,
} as const;

/** A TCP segment (RFC 9293). */
export interface Tcp {
  sourcePort: number;
  destinationPort: number;
  sequence: number;
  acknowledgement: number;
  /** All twelve bits after the data offset: TCP_FLAGS and the four reserved ones. */
  flags: number;
  window: number;
  /** As found; left out, `encodeTcp` computes it. */
  checksum?: number;
  urgent: number;
  /** Raw, padded to a multiple of four. */
  options: Uint8Array;
  payload: Uint8Array;
}

/** @throws {DecodeError} */
export function decodeTcp(bytes: Uint8Array): Tcp & { checksum: number } {
  if (bytes.length < TCP_HEADER_BYTES)
    throw new DecodeError("tcp", bytes.length, `${bytes.length} bytes, a header has ${TCP_HEADER_BYTES}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const headerBytes = (view.getUint8(12) >> 4) * 4;
  if (headerBytes < TCP_HEADER_BYTES) throw new DecodeError("tcp", 12, `data offset ${headerBytes}`);
  if (headerBytes > bytes.length)
    throw new DecodeError("tcp", bytes.length, `data offset ${headerBytes}, only ${bytes.length} bytes`);
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    sequence: view.getUint32(4),
    acknowledgement: view.getUint32(8),
    flags: view.getUint16(12) & 0xfff,
    window: view.getUint16(14),
    checksum: view.getUint16(16),
    urgent: view.getUint16(18),
    options: bytes.subarray(TCP_HEADER_BYTES, headerBytes),
    payload: bytes.subarray(headerBytes),
  };
}

/** Without `addresses` and without a checksum the field is left zero, which no receiver accepts. */
export function encodeTcp(tcp: Tcp, addresses?: PseudoHeader): Uint8Array {
  const headerBytes = TCP_HEADER_BYTES + tcp.options.length;
  if (headerBytes % 4 !== 0 || headerBytes > 60)
    throw new RangeError(`Cannot encode TCP options of ${tcp.options.length} bytes: want at most 40, a multiple of 4`);
  const bytes = new Uint8Array(headerBytes + tcp.payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, tcp.sourcePort);
  view.setUint16(2, tcp.destinationPort);
  view.setUint32(4, tcp.sequence);
  view.setUint32(8, tcp.acknowledgement);
  view.setUint16(12, ((headerBytes / 4) << 12) | (tcp.flags & 0xfff));
  view.setUint16(14, tcp.window);
  view.setUint16(18, tcp.urgent);
  bytes.set(tcp.options, TCP_HEADER_BYTES);
  bytes.set(tcp.payload, headerBytes);
  const sum = (to: PseudoHeader): number => internetChecksum(bytes, pseudoSum(to, IPPROTO_TCP, bytes.length));
  view.setUint16(16, tcp.checksum ?? (addresses ? sum(addresses) : 0));
  return bytes;
}
