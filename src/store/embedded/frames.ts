// The journal's files: a magic line, then frames of length, CRC-32 and payload. A frame is what one write put down
// together, so a crash tears at most the last one.
import { crc32 } from "node:zlib";

export const MAGIC: Buffer = Buffer.from("podpath-store 1\n");
const HEADER_BYTES = 8;

export function encodeFrame(payload: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  frame.writeUInt32LE(payload.length, 0);
  frame.writeUInt32LE(crc32(payload), 4);
  payload.copy(frame, HEADER_BYTES);
  return frame;
}

export interface DecodedFrames {
  readonly payloads: Buffer[];
  /** How many bytes of the file are whole; behind them is a torn frame, or nothing. */
  readonly goodBytes: number;
}

/** Reads frames up to a torn last one. @throws {RangeError} when what is broken is not the end: that is no crash */
export function decodeFrames(file: Buffer): DecodedFrames {
  const payloads: Buffer[] = [];
  if (file.length < MAGIC.length && MAGIC.subarray(0, file.length).equals(file)) return { payloads, goodBytes: 0 };
  if (!file.subarray(0, MAGIC.length).equals(MAGIC)) throw new RangeError("it does not begin as a store's file does");
  let offset = MAGIC.length;
  while (offset < file.length) {
    const end = file.length - offset < HEADER_BYTES ? Infinity : offset + HEADER_BYTES + file.readUInt32LE(offset);
    // Runs past the end of the file: torn. So is what the file system left as zeroes.
    if (end > file.length || isZero(file.subarray(offset))) break;
    const payload = file.subarray(offset + HEADER_BYTES, end);
    if (crc32(payload) !== file.readUInt32LE(offset + 4)) {
      if (end === file.length) break;
      throw new RangeError(`its frame at byte ${offset} has a wrong checksum`);
    }
    payloads.push(payload);
    offset = end;
  }
  return { payloads, goodBytes: offset };
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}
