/**
 * `struct virtio_net_hdr` (include/uapi/linux/virtio_net.h), ten bytes before each packet of a TUN device with
 * IFF_VNET_HDR, in the machine's byte order, which is little-endian wherever this runs:
 *
 *   flags u8, gso_type u8, hdr_len u16, gso_size u16, csum_start u16, csum_offset u16
 */
export const VIRTIO_NET_HEADER_BYTES = 10;
/** The checksum at csum_start + csum_offset holds the pseudo header's sum; the rest is to be summed in. */
export const VIRTIO_NET_HDR_F_NEEDS_CSUM = 1;
export const VIRTIO_NET_HDR_GSO_NONE = 0;
export const VIRTIO_NET_HDR_GSO_TCPV4 = 1;
export const VIRTIO_NET_HDR_GSO_UDP_L4 = 5;

export interface VirtioNetHeader {
  readonly flags: number;
  readonly gsoType: number;
  /** Of IP and transport header together; a hint. */
  readonly headerBytes: number;
  /** Payload of each segment. */
  readonly gsoBytes: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
}

export function decodeVirtioNetHeader(view: DataView, at: number): VirtioNetHeader {
  return {
    flags: view.getUint8(at),
    gsoType: view.getUint8(at + 1),
    headerBytes: view.getUint16(at + 2, true),
    gsoBytes: view.getUint16(at + 4, true),
    checksumStart: view.getUint16(at + 6, true),
    checksumOffset: view.getUint16(at + 8, true),
  };
}

export function encodeVirtioNetHeader(view: DataView, at: number, header: VirtioNetHeader): void {
  view.setUint8(at, header.flags);
  view.setUint8(at + 1, header.gsoType);
  view.setUint16(at + 2, header.headerBytes, true);
  view.setUint16(at + 4, header.gsoBytes, true);
  view.setUint16(at + 6, header.checksumStart, true);
  view.setUint16(at + 8, header.checksumOffset, true);
}
