import { type Ipv6Address, ipFromBytes, ipToBytes } from "../netip/index.ts";
import { DecodeError } from "./errors.ts";

export const IPV6_HEADER_BYTES = 40;
const IPPROTO_HOPOPTS = 0;
const IPPROTO_ROUTING = 43;
const IPPROTO_FRAGMENT = 44;
const IPPROTO_AH = 51;
const IPPROTO_DSTOPTS = 60;
const IPPROTO_MH = 135;

/** An extension header: its own number and all of its bytes, the first of which names what follows. */
export interface Ipv6Extension {
  readonly protocol: number;
  readonly bytes: Uint8Array;
}

/** What a Fragment header says (RFC 8200 §4.5). */
export interface Ipv6Fragment {
  readonly offset: number;
  readonly moreFragments: boolean;
  readonly identification: number;
}

/** An IPv6 packet (RFC 8200) with its chain of extension headers taken apart. */
export interface Ipv6 {
  trafficClass: number;
  flowLabel: number;
  hopLimit: number;
  source: Ipv6Address;
  destination: Ipv6Address;
  extensions: readonly Ipv6Extension[];
  /** The protocol of `payload`: the last header's "next header". */
  protocol: number;
  payload: Uint8Array;
}

/** The headers, and how far they say the packet reaches; `bytes` may end before that in a cut capture. */
export function readIpv6(bytes: Uint8Array): {
  header: Omit<Ipv6, "payload">;
  headerBytes: number;
  totalBytes: number;
} {
  if (bytes.length < IPV6_HEADER_BYTES)
    throw new DecodeError("ipv6", bytes.length, `${bytes.length} bytes, a header has ${IPV6_HEADER_BYTES}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const first = view.getUint32(0);
  if (first >>> 28 !== 6) throw new DecodeError("ipv6", 0, `version ${first >>> 28}`);
  const totalBytes = IPV6_HEADER_BYTES + view.getUint16(4);
  const { extensions, protocol, end } = readExtensions(bytes.subarray(0, totalBytes), view.getUint8(6));
  const header = {
    trafficClass: (first >>> 20) & 0xff,
    flowLabel: first & 0xfffff,
    hopLimit: view.getUint8(7),
    source: ipFromBytes(bytes.subarray(8, 24)) as Ipv6Address,
    destination: ipFromBytes(bytes.subarray(24, 40)) as Ipv6Address,
    extensions,
    protocol,
  };
  return { header, headerBytes: end, totalBytes };
}

function readExtensions(
  bytes: Uint8Array,
  first: number,
): { extensions: Ipv6Extension[]; protocol: number; end: number } {
  const extensions: Ipv6Extension[] = [];
  let [protocol, end] = [first, IPV6_HEADER_BYTES];
  while (isExtension(protocol)) {
    const [next, units] = [bytes[end], bytes[end + 1]];
    if (next === undefined || units === undefined)
      throw new DecodeError("ipv6", end, `extension header ${protocol} is cut off`);
    const length = extensionBytes(protocol, units);
    if (end + length > bytes.length)
      throw new DecodeError("ipv6", end, `extension header ${protocol} of ${length} bytes is cut off`);
    const extension = { protocol, bytes: bytes.subarray(end, end + length) };
    extensions.push(extension);
    end += length;
    protocol = next;
    // After the first fragment's chain nothing can be told of a later fragment's bytes: they are the middle of something.
    if ((fragmentOf([extension])?.offset ?? 0) > 0) break;
  }
  return { extensions, protocol, end };
}

function isExtension(protocol: number): boolean {
  return (
    protocol === IPPROTO_HOPOPTS ||
    protocol === IPPROTO_ROUTING ||
    protocol === IPPROTO_FRAGMENT ||
    protocol === IPPROTO_AH ||
    protocol === IPPROTO_DSTOPTS ||
    protocol === IPPROTO_MH
  );
}

function extensionBytes(protocol: number, units: number): number {
  if (protocol === IPPROTO_FRAGMENT) return 8;
  return protocol === IPPROTO_AH ? (units + 2) * 4 : (units + 1) * 8;
}

/** The fragment header among `extensions`, if the packet is a fragment. */
export function fragmentOf(extensions: readonly Ipv6Extension[]): Ipv6Fragment | undefined {
  const found = extensions.find((extension) => extension.protocol === IPPROTO_FRAGMENT);
  if (!found) return undefined;
  const view = new DataView(found.bytes.buffer, found.bytes.byteOffset, found.bytes.length);
  const word = view.getUint16(2);
  return { offset: word & 0xfff8, moreFragments: (word & 1) !== 0, identification: view.getUint32(4) };
}

/** Bytes after the payload length are left out. @throws {DecodeError} */
export function decodeIpv6(bytes: Uint8Array): Ipv6 {
  const { header, headerBytes, totalBytes } = readIpv6(bytes);
  if (totalBytes > bytes.length)
    throw new DecodeError("ipv6", bytes.length, `payload length ${totalBytes - 40}, only ${bytes.length - 40} bytes`);
  return { ...header, payload: bytes.subarray(headerBytes, totalBytes) };
}

/** The "next header" byte of each extension is written from the chain; the bytes given for it do not matter. */
export function encodeIpv6(packet: Ipv6): Uint8Array {
  const extensionTotal = packet.extensions.reduce((sum, extension) => sum + extension.bytes.length, 0);
  const payloadBytes = extensionTotal + packet.payload.length;
  if (payloadBytes > 0xffff)
    throw new RangeError(`Cannot encode an IPv6 payload of ${payloadBytes} bytes: the limit is 65535`);
  const bytes = new Uint8Array(IPV6_HEADER_BYTES + payloadBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, ((6 << 28) | (packet.trafficClass << 20) | packet.flowLabel) >>> 0);
  view.setUint16(4, payloadBytes);
  view.setUint8(6, packet.extensions[0]?.protocol ?? packet.protocol);
  view.setUint8(7, packet.hopLimit);
  bytes.set(ipToBytes(packet.source), 8);
  bytes.set(ipToBytes(packet.destination), 24);
  let offset = IPV6_HEADER_BYTES;
  packet.extensions.forEach((extension, i) => {
    bytes.set(extension.bytes, offset);
    view.setUint8(offset, packet.extensions[i + 1]?.protocol ?? packet.protocol);
    offset += extension.bytes.length;
  });
  bytes.set(packet.payload, offset);
  return bytes;
}
