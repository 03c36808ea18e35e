// Go's gRPC clients (etcdctl among them) that dial a Unix socket send its path as the HTTP/2 `:authority`. Go servers take it;
// Node's refuse the stream (PROTOCOL_ERROR), because a "/" may not be in an authority (RFC 3986 §3.2). This stands
// between such a socket and Node: it renames the authority in the header blocks (RFC 9113 §4, RFC 7541 §6) and passes
// everything else on as it is.
//
// The name keeps its length: both ends keep a table of recent headers, in which lengths decide what is forgotten.
import { Duplex, type TransformCallback } from "node:stream";

const PREFACE_BYTES = 24;
const FRAME_HEADER_BYTES = 9;
const MAX_FRAME_BYTES = 16384;
const HEADERS = 1;
const FLAG_END_HEADERS = 0x4;
const FLAG_PADDED = 0x8;
const FLAG_PRIORITY = 0x20;
/** Index of `:authority` in HPACK's static table. */
const AUTHORITY = 1;

/** A stream that reads what `socket` sends, with authorities that Node takes, and writes to it. */
export function withValidAuthority(socket: Duplex): Duplex {
  const renamer = new AuthorityRenamer();
  const stream = new Duplex({
    read: () => void socket.resume(),
    write: (chunk, encoding, done: TransformCallback) => void socket.write(chunk, encoding, done),
    final: (done) => void socket.end(done),
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  socket.on("data", (chunk: Buffer) => {
    if (!stream.push(renamer.take(chunk))) socket.pause();
  });
  socket.on("end", () => stream.push(null));
  socket.on("error", (error) => stream.destroy(error));
  socket.on("close", () => stream.destroy());
  return stream;
}

/** Takes a client's bytes in pieces of any size; gives those that are whole frames. */
export class AuthorityRenamer {
  #rest: Buffer = Buffer.alloc(0);
  #hasPreface = false;

  take(chunk: Uint8Array): Buffer {
    let bytes = Buffer.concat([this.#rest, chunk]);
    const out: Buffer[] = [];
    const move = (length: number): Buffer => {
      const head = bytes.subarray(0, length);
      bytes = bytes.subarray(length);
      return head;
    };
    if (!this.#hasPreface && bytes.length >= PREFACE_BYTES) {
      this.#hasPreface = true;
      out.push(move(PREFACE_BYTES));
    }
    while (this.#hasPreface && bytes.length >= FRAME_HEADER_BYTES) {
      const length = FRAME_HEADER_BYTES + bytes.readUIntBE(0, 3);
      // A frame that is too long is Node's to refuse; it need not be collected here first.
      if (bytes.length < length && length <= FRAME_HEADER_BYTES + MAX_FRAME_BYTES) break;
      out.push(renameInFrame(move(length)));
    }
    this.#rest = bytes;
    return Buffer.concat(out);
  }
}

function renameInFrame(frame: Buffer): Buffer {
  const flags = frame[4] ?? 0;
  // Padding and blocks in several frames are not worth the trouble: no gRPC client sends them for its few headers.
  if (frame[3] !== HEADERS || (flags & FLAG_END_HEADERS) === 0 || (flags & FLAG_PADDED) !== 0) return frame;
  const begin = FRAME_HEADER_BYTES + ((flags & FLAG_PRIORITY) === 0 ? 0 : 5);
  const block = renameInBlock(frame.subarray(begin));
  const length = begin - FRAME_HEADER_BYTES + (block?.length ?? 0);
  if (!block || length > MAX_FRAME_BYTES) return frame;
  const head = Buffer.from(frame.subarray(0, begin));
  head.writeUIntBE(length, 0, 3);
  return Buffer.concat([head, block]);
}

/** @returns undefined when there is nothing to rename, or something that this does not understand */
function renameInBlock(block: Uint8Array): Buffer | undefined {
  const reader = new BlockReader(block);
  while (!reader.isAtEnd) {
    const first = reader.peek();
    if ((first & 0x80) !== 0) reader.integer(7);
    else if ((first & 0xe0) === 0x20) reader.integer(5);
    else {
      const nameIndex = reader.integer((first & 0x40) !== 0 ? 6 : 4);
      if (nameIndex === 0) reader.skipString();
      const begin = reader.position;
      if (nameIndex !== AUTHORITY) reader.skipString();
      else {
        const length = reader.stringLength();
        if (length === undefined) return undefined;
        const name = Buffer.from("unix".padEnd(length, "-").slice(0, length));
        return Buffer.concat([block.subarray(0, begin), encodeLength(length), name, block.subarray(reader.position)]);
      }
    }
    if (reader.isPastEnd) return undefined;
  }
  return undefined;
}

/** A string's length, not Huffman coded (RFC 7541 §5.1, §5.2). */
function encodeLength(length: number): Buffer {
  if (length < 127) return Buffer.of(length);
  const bytes = [127];
  let rest = length - 127;
  for (; rest >= 128; rest >>= 7) bytes.push((rest & 127) | 128);
  return Buffer.of(...bytes, rest);
}

class BlockReader {
  readonly #block: Uint8Array;
  position = 0;

  constructor(block: Uint8Array) {
    this.#block = block;
  }

  get isAtEnd(): boolean {
    return this.position >= this.#block.length;
  }

  get isPastEnd(): boolean {
    return this.position > this.#block.length;
  }

  peek(): number {
    return this.#block[this.position] ?? 0;
  }

  /** RFC 7541 §5.1; more than four bytes of it is more than a header has. */
  integer(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = this.peek() & mask;
    this.position++;
    if (value < mask) return value;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.peek();
      this.position++;
      value += (byte & 127) << shift;
      if ((byte & 128) === 0) break;
    }
    return value;
  }

  skipString(): void {
    const length = this.integer(7);
    this.position += length;
  }

  /** Passes over a string; its length when decoded. */
  stringLength(): number | undefined {
    const isHuffman = (this.peek() & 0x80) !== 0;
    const length = this.integer(7);
    const bytes = this.#block.subarray(this.position, this.position + length);
    this.position += length;
    if (bytes.length < length) return undefined;
    return isHuffman ? huffmanLength(bytes) : length;
  }
}

/**
 * How many characters a Huffman-coded string has. The code of RFC 7541 appendix B is ordered by length, so for the
 * characters of a path (codes of 5 to 8 bits) it is enough to know where each length ends.
 */
function huffmanLength(bytes: Uint8Array): number | undefined {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  let count = 0;
  for (let at = 0; ; count++) {
    const rest = bits.slice(at);
    // Padding: fewer than 8 bits, all ones.
    if (rest.length < 8 && !rest.includes("0")) return count;
    const code = (length: number): number => Number.parseInt(rest.slice(0, length).padEnd(length, "0"), 2);
    const length = code(5) < 0x0a ? 5 : code(6) < 0x2e ? 6 : code(7) < 0x7c ? 7 : code(8) < 0xfe ? 8 : undefined;
    if (length === undefined || length > rest.length) return undefined;
    at += length;
  }
}
