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

/** As tcpdump writes them: `S.`, `P.`, `R`, `.` for a bare ACK. */
export function formatTcpFlags(flags: number): string {
  const letters: [number, string][] = [
    [TCP_FLAGS.FIN, "F"],
    [TCP_FLAGS.SYN, "S"],
    [TCP_FLAGS.RST, "R"],
    [TCP_FLAGS.PSH, "P"],
    [TCP_FLAGS.ACK, "."],
    [TCP_FLAGS.URG, "U"],
    [TCP_FLAGS.ECE, "E"],
    [TCP_FLAGS.CWR, "W"],
  ];
  const text = letters.map(([bit, letter]) => (flags & bit ? letter : "")).join("");
  return text === "" ? "none" : text;
}

/** `mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7`; stops at the first option that makes no sense. */
export function formatTcpOptions(options: Uint8Array): string {
  const view = new DataView(options.buffer, options.byteOffset, options.length);
  const words: string[] = [];
  for (let at = 0; at < options.length; ) {
    const kind = view.getUint8(at);
    if (kind <= 1) {
      words.push(kind === 0 ? "eol" : "nop");
      at++;
      if (kind === 0) break;
      continue;
    }
    const length = at + 1 < options.length ? view.getUint8(at + 1) : 0;
    if (length < 2 || at + length > options.length) return [...words, `bad option ${kind}`].join(",");
    words.push(formatOption(kind, new DataView(options.buffer, options.byteOffset + at + 2, length - 2)));
    at += length;
  }
  return words.join(",");
}

function formatOption(kind: number, value: DataView): string {
  const n = value.byteLength;
  if (kind === 2 && n === 2) return `mss ${value.getUint16(0)}`;
  if (kind === 3 && n === 1) return `wscale ${value.getUint8(0)}`;
  if (kind === 4 && n === 0) return "sackOK";
  if (kind === 8 && n === 8) return `TS val ${value.getUint32(0)} ecr ${value.getUint32(4)}`;
  if (kind === 5 && n % 8 === 0) {
    const block = (_: unknown, i: number): string => `{${value.getUint32(8 * i)}:${value.getUint32(8 * i + 4)}}`;
    return `sack ${n / 8} ${Array.from({ length: n / 8 }, block).join("")}`;
  }
  return `unknown-${kind}`;
}
