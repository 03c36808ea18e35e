// struct ndmsg { u8 ndm_family; u8 pad; u16 pad; s32 ndm_ifindex; u16 ndm_state; u8 ndm_flags; u8 ndm_type; }
// Neighbours and FDB entries share it: AF_INET and AF_INET6 the one, AF_BRIDGE the other.
import { fixedHeader } from "../attribute.ts";

export const NDMSG_LENGTH = 12;
export const NDA_DST = 1;
export const NDA_LLADDR = 2;
export const NDA_IFINDEX = 8;
export const NDA_MASTER = 9;
export const NDA_PROTOCOL = 12;

export interface Ndmsg {
  readonly af: number;
  readonly index: number;
  readonly state: number;
  readonly flags: number;
}

export function encodeNdmsg({ af, index, state, flags }: Ndmsg): Uint8Array {
  const bytes = new Uint8Array(NDMSG_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, af);
  view.setInt32(4, index, true);
  view.setUint16(8, state, true);
  view.setUint8(10, flags);
  return bytes;
}

export function decodeNdmsg(payload: Uint8Array): Ndmsg {
  const view = fixedHeader(payload, NDMSG_LENGTH, "ndmsg");
  return {
    af: view.getUint8(0),
    index: view.getInt32(4, true),
    state: view.getUint16(8, true),
    flags: view.getUint8(10),
  };
}
