// struct ifinfomsg { u8 ifi_family; u8 pad; u16 ifi_type; s32 ifi_index; u32 ifi_flags; u32 ifi_change; }

export const IFINFOMSG_LENGTH = 16;

export function encodeIfinfomsg(fields: {
  readonly index?: number | undefined;
  readonly flags?: number;
  /** Which of `flags` are meant. */
  readonly change?: number;
}): Uint8Array {
  const bytes = new Uint8Array(IFINFOMSG_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setInt32(4, fields.index ?? 0, true);
  view.setUint32(8, fields.flags ?? 0, true);
  view.setUint32(12, fields.change ?? 0, true);
  return bytes;
}
