import { DecodeError } from "./errors.ts";

export const VXLAN_HEADER_BYTES = 8;
/** IANA's port, and the one Linux had before it, which Flannel uses on Linux. */
export const VXLAN_PORTS: readonly number[] = [8472, 4789];
/** "The VNI is valid" (RFC 7348 §5). */
export const VXLAN_FLAG_VNI = 0x08;

/** A VXLAN packet (RFC 7348) as carried by UDP; the payload is an Ethernet frame. */
export interface Vxlan {
  flags: number;
  vni: number;
  payload: Uint8Array;
}

/** @throws {DecodeError} below 8 bytes, and without the VNI flag */
export function decodeVxlan(bytes: Uint8Array): Vxlan {
  if (bytes.length < VXLAN_HEADER_BYTES)
    throw new DecodeError("vxlan", bytes.length, `${bytes.length} bytes, a header has ${VXLAN_HEADER_BYTES}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const flags = view.getUint8(0);
  if ((flags & VXLAN_FLAG_VNI) === 0) throw new DecodeError("vxlan", 0, `flags 0x${flags.toString(16)} without a VNI`);
  return { flags, vni: view.getUint32(4) >>> 8, payload: bytes.subarray(VXLAN_HEADER_BYTES) };
}

/** The reserved fields are zero, as RFC 7348 wants them sent. */
export function encodeVxlan(vxlan: Vxlan): Uint8Array {
  const bytes = new Uint8Array(VXLAN_HEADER_BYTES + vxlan.payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, vxlan.flags);
  view.setUint32(4, (vxlan.vni << 8) >>> 0);
  bytes.set(vxlan.payload, VXLAN_HEADER_BYTES);
  return bytes;
}
