// struct ifinfomsg { u8 ifi_family; u8 pad; u16 ifi_type; s32 ifi_index; u32 ifi_flags; u32 ifi_change; }
import { AttributeWriter } from "../attribute.ts";

export const IFINFOMSG_LENGTH = 16;

interface Ifinfomsg {
  readonly index?: number | undefined;
  readonly flags?: number;
  /** Which of `flags` are meant. */
  readonly change?: number;
}

export function writeIfinfomsg({ index = 0, flags = 0, change = 0 }: Ifinfomsg): (view: DataView, at: number) => void {
  return (view, at) => {
    view.setInt32(at + 4, index, true);
    view.setUint32(at + 8, flags, true);
    view.setUint32(at + 12, change, true);
  };
}

/** A writer that stands behind an ifinfomsg. */
export function afterIfinfomsg(fields: Ifinfomsg): AttributeWriter {
  return new AttributeWriter(IFINFOMSG_LENGTH, writeIfinfomsg(fields));
}
