// Old Go clients (etcdctl 3.4, which Debian has) send an :authority that is none: the endpoint with its scheme
// ("http://127.0.0.1:2379") from some commands, a Unix socket's path from all. Go's servers do not mind; Node's HTTP/2
// refuses the request before any handler sees it. Nobody here asks for the authority, so it is replaced on its way in.
import { Duplex } from "node:stream";

const PREFACE_BYTES = 24;
const FRAME_HEADER_BYTES = 9;
const HEADERS = 1;
const FLAG_PADDED = 0x08;
const FLAG_PRIORITY = 0x20;
const PRIORITY_BYTES = 5;
/** No SETTINGS of ours allow a client to send more. */
const MAX_FRAME_BYTES = 16_384;
/** :authority in HPACK's static table (RFC 7541, appendix A). */
const AUTHORITY = 1;
/**
 * One byte, not Huffman-coded. Both ends keep a table of recent headers, numbered from the newest, and forget the oldest
 * by size: with shorter entries we forget later than the sender, which never refers to what it forgot.
 */
const REPLACEMENT = Buffer.from([1, "s".charCodeAt(0)]);

/** `socket`, with every :authority that comes in replaced. */
export function withValidAuthority(socket: Duplex): Duplex {
  const mend = authorityMender();
  const duplex = new Duplex({
    read: () => void socket.resume(),
    write: (chunk, _encoding, done) => void socket.write(chunk, done),
    final: (done) => void socket.end(done),
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  socket.on("data", (chunk: Buffer) => {
    if (!duplex.push(mend(chunk))) socket.pause();
  });
  socket.on("end", () => duplex.push(null));
  socket.on("error", (error) => duplex.destroy(error));
  socket.on("close", () => duplex.destroy());
  return duplex;
}

/** Takes a client's bytes in pieces of any size; gives those that are whole frames, mended. */
export function authorityMender(): (chunk: Buffer) => Buffer {
  let rest: Buffer = Buffer.alloc(0);
  let isPastPreface = false;
  const take = (length: number): Buffer => {
    const head = rest.subarray(0, length);
    rest = rest.subarray(length);
    return head;
  };
  return (chunk) => {
    rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    const out: Buffer[] = [];
    if (!isPastPreface) {
      if (rest.length < PREFACE_BYTES) return Buffer.alloc(0);
      isPastPreface = true;
      out.push(take(PREFACE_BYTES));
    }
    while (rest.length >= FRAME_HEADER_BYTES) {
      const length = rest.readUIntBE(0, 3);
      // Longer than a client may send: HTTP/2 will say so, and need not wait for all of it.
      if (length > MAX_FRAME_BYTES) out.push(take(rest.length));
      else if (rest.length < FRAME_HEADER_BYTES + length) break;
      else {
        const frame = take(FRAME_HEADER_BYTES + length);
        out.push(frame[3] === HEADERS ? mendHeaders(frame) : frame);
      }
    }
    return Buffer.concat(out);
  };
}

function mendHeaders(frame: Buffer): Buffer {
  const flags = frame[4] ?? 0;
  const start = FRAME_HEADER_BYTES + (flags & FLAG_PRIORITY ? PRIORITY_BYTES : 0);
  // No gRPC client pads.
  if (flags & FLAG_PADDED || frame.length < start) return frame;
  const block = mendHeaderBlock(frame.subarray(start));
  const head = Buffer.from(frame.subarray(0, start));
  head.writeUIntBE(head.length - FRAME_HEADER_BYTES + block.length, 0, 3);
  return Buffer.concat([head, block]);
}

/** RFC 7541 §6, as far as is needed to find where each field begins. What cannot be read is left as it is. */
function mendHeaderBlock(block: Buffer): Buffer {
  const out: Buffer[] = [];
  let done = 0;
  let at = 0;
  try {
    while (at < block.length) {
      const first = block[at] ?? 0;
      if (first & 0x80) at = integer(block, at, 7).next;
      else if ((first & 0xe0) === 0x20) at = integer(block, at, 5).next;
      else {
        const name = integer(block, at, first & 0x40 ? 6 : 4);
        const value = name.value === 0 ? stringEnd(block, name.next) : name.next;
        at = stringEnd(block, value);
        if (name.value !== AUTHORITY) continue;
        out.push(block.subarray(done, value), REPLACEMENT);
        done = at;
      }
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return Buffer.concat([...out, block.subarray(done)]);
}

/** §5.1. @throws {RangeError} when it does not end in the block */
function integer(block: Buffer, at: number, prefixBits: number): { value: number; next: number } {
  const mask = 2 ** prefixBits - 1;
  let value = (block[at] ?? 0) & mask;
  if (value < mask) return { value, next: at + 1 };
  for (let i = 1; i <= 4; i++) {
    const byte = block[at + i];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * (i - 1));
    if (byte < 0x80) return { value, next: at + i + 1 };
  }
  throw new RangeError("an integer without an end");
}

/** §5.2: where the string at `at` ends. @throws {RangeError} when that is not in the block */
function stringEnd(block: Buffer, at: number): number {
  const { value, next } = integer(block, at, 7);
  if (next + value > block.length) throw new RangeError("a string without an end");
  return next + value;
}
