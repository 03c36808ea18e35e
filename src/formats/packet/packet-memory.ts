/**
 * Memory in which packets lie at offsets. Whoever changes millions of them a second looks at them in place: an object
 * for each would cost more than the packet.
 *
 * Sums are ones' complement sums of the bytes as 16-bit words in the order of this view, little-endian: RFC 1071 §2 (B)
 * lets a sum be formed in either order, and a field that is read and written in the same order needs no swap.
 */
export interface PacketMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

export function packetMemory(bytes: Uint8Array): PacketMemory {
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) };
}

/**
 * What has to be added up for the checksum of `length` bytes from `offset` on; a last odd byte is padded with zero. Not
 * folded: such sums, of packets that IP can carry, may be added up by the thousand.
 */
export function sumBytes(view: DataView, offset: number, length: number): number {
  // Four sums at once, because an addition waits for the one before; 32 bits at a time, as a carry is an end-around one.
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let at = offset;
  const end = offset + length;
  for (const stop = end - 15; at < stop; at += 16) {
    a += view.getUint32(at, true);
    b += view.getUint32(at + 4, true);
    c += view.getUint32(at + 8, true);
    d += view.getUint32(at + 12, true);
  }
  for (const stop = end - 1; at < stop; at += 2) a += view.getUint16(at, true);
  if (at < end) a += view.getUint8(at);
  return a + b + c + d;
}

/** Folds a sum of up to 53 bits to 16. */
export function foldSum(sum: number): number {
  const high = Math.floor(sum / 0x1_0000_0000);
  const low = sum >>> 0;
  let folded = (low & 0xffff) + (low >>> 16) + (high & 0xffff) + (high >>> 16);
  folded = (folded & 0xffff) + (folded >>> 16);
  return (folded & 0xffff) + (folded >>> 16);
}

/** A 16-bit number of the packet, as it counts in a sum of this order. */
export function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}

/** What TCP and UDP sum in besides their own bytes (RFC 9293 §3.1); `ip` is the offset of the IPv4 header. */
export function pseudoHeaderSum(view: DataView, ip: number, protocol: number, length: number): number {
  return view.getUint32(ip + 12, true) + view.getUint32(ip + 16, true) + (protocol << 8) + swap16(length);
}
