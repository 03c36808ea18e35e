// struct ndmsg { u8 ndm_family; u8 pad; u16 pad; s32 ndm_ifindex; u16 ndm_state; u8 ndm_flags; u8 ndm_type; }
// Neighbours and FDB entries share it: AF_INET and AF_INET6 the one, AF_BRIDGE the other.
import { AttributeWriter, fixedHeader } from "../attribute.ts";

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

/** A writer that stands behind an ndmsg. */
export function afterNdmsg({ af, index, state, flags }: Ndmsg): AttributeWriter {
  return new AttributeWriter(NDMSG_LENGTH, (view, at) => {
    view.setUint8(at, af);
    view.setInt32(at + 4, index, true);
    view.setUint16(at + 8, state, true);
    view.setUint8(at + 10, flags);
  });
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
