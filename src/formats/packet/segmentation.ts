import { IPPROTO_TCP, IPPROTO_UDP, IPV4_HEADER_BYTES } from "./ipv4.ts";
import { foldSum, type PacketMemory, sumBytes, swap16 } from "./packet-memory.ts";
import { TCP_FLAGS, TCP_HEADER_BYTES } from "./tcp.ts";
import { UDP_HEADER_BYTES } from "./udp.ts";

/** Takes the segments in order, each in two pieces: its headers, and its payload where it has been all along. */
export interface SegmentSink {
  segment(header: number, headerBytes: number, payload: number, payloadBytes: number): void;
}

/** Segments with less payload come from nobody who means well. */
const MIN_SEGMENT_BYTES = 8;

/** The length of IPv4 and transport header together; 0: no such headers within `length` bytes. */
export function headerBytesOf(view: DataView, ip: number, length: number): number {
  if (length < IPV4_HEADER_BYTES) return 0;
  const ipBytes = (view.getUint8(ip) & 15) * 4;
  const protocol = view.getUint8(ip + 9);
  const least = protocol === IPPROTO_TCP ? TCP_HEADER_BYTES : UDP_HEADER_BYTES;
  if (ipBytes < IPV4_HEADER_BYTES || length < ipBytes + least) return 0;
  if (protocol === IPPROTO_UDP) return ipBytes + UDP_HEADER_BYTES;
  if (protocol !== IPPROTO_TCP) return 0;
  const tcpBytes = (view.getUint8(ip + ipBytes + 12) >> 4) * 4;
  return tcpBytes < TCP_HEADER_BYTES || length < ipBytes + tcpBytes ? 0 : ipBytes + tcpBytes;
}

/** How many segments segmentPacket() will make; 0: it cannot. */
export function segmentCount(view: DataView, ip: number, length: number, payloadBytes: number): number {
  const headerBytes = headerBytesOf(view, ip, length);
  if (headerBytes === 0 || payloadBytes < MIN_SEGMENT_BYTES || length === headerBytes) return 0;
  return Math.ceil((length - headerBytes) / payloadBytes);
}

/**
 * Cuts a large TCP segment or UDP datagram into packets of `payloadBytes` of payload, as the kernel's own GSO does: the
 * identification counts up, TCP's sequence number goes on, PSH and FIN are the last one's and CWR the first one's.
 * Checksums are complete. `segmentCount` must have said that it can; the headers at `ip` are used up.
 * @param headers where to write the segments' headers, one after the other
 */
export function segmentPacket(
  { view }: PacketMemory,
  ip: number,
  length: number,
  payloadBytes: number,
  headers: number,
  sink: SegmentSink,
): void {
  const headerBytes = headerBytesOf(view, ip, length);
  const ipBytes = (view.getUint8(ip) & 15) * 4;
  const transportBytes = headerBytes - ipBytes;
  const transport = ip + ipBytes;
  const isTcp = view.getUint8(ip + 9) === IPPROTO_TCP;
  const identification = view.getUint16(ip + 4);
  const sequence = isTcp ? view.getUint32(transport + 4) : 0;
  const flags = isTcp ? view.getUint8(transport + 13) : 0;

  // What differs between segments is zero here and summed in for each.
  view.setUint32(ip + 2, 0);
  view.setUint16(ip + 10, 0);
  if (isTcp) {
    view.setUint32(transport + 4, 0);
    view.setUint8(transport + 13, 0);
    view.setUint16(transport + 16, 0);
  } else view.setUint32(transport + 4, 0);
  const ipSum = sumBytes(view, ip, ipBytes);
  const protocolSum = view.getUint8(ip + 9) << 8;
  const transportSum = sumBytes(view, transport, transportBytes) + sumBytes(view, ip + 12, 8) + protocolSum;

  const end = ip + length;
  let header = headers;
  for (let payload = ip + headerBytes, n = 0; payload < end; payload += payloadBytes, n++) {
    const bytes = Math.min(payloadBytes, end - payload);
    for (let i = 0; i < headerBytes; i += 4) view.setUint32(header + i, view.getUint32(ip + i));
    const total = headerBytes + bytes;
    const id = (identification + n) & 0xffff;
    view.setUint16(header + 2, total);
    view.setUint16(header + 4, id);
    view.setUint16(header + 10, ~foldSum(ipSum + swap16(total) + swap16(id)) & 0xffff, true);

    const at = header + ipBytes;
    let sum = transportSum + swap16(transportBytes + bytes) + sumBytes(view, payload, bytes);
    if (isTcp) {
      const isLast = payload + bytes === end;
      const own = flags & ~(isLast ? 0 : TCP_FLAGS.PSH | TCP_FLAGS.FIN) & ~(n === 0 ? 0 : TCP_FLAGS.CWR);
      view.setUint32(at + 4, sequence + n * payloadBytes);
      view.setUint8(at + 13, own);
      sum += view.getUint32(at + 4, true) + (own << 8);
      view.setUint16(at + 16, ~foldSum(sum) & 0xffff, true);
    } else {
      view.setUint16(at + 4, UDP_HEADER_BYTES + bytes);
      sum += swap16(UDP_HEADER_BYTES + bytes);
      view.setUint16(at + 6, ~foldSum(sum) & 0xffff || 0xffff, true);
    }
    sink.segment(header, headerBytes, payload, bytes);
    header += headerBytes;
  }
}
