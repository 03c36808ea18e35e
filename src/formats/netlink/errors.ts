/** Bytes that are not the netlink message they claim to be: which structure, and where in the buffer it stops making sense. */
export class DecodeError extends RangeError {
  override name = "DecodeError";
  /** The structure or attribute: `nlmsghdr`, `IFLA_MTU`. */
  readonly layer: string;
  /** Byte offset into the buffer that was being read. */
  readonly offset: number;

  constructor(layer: string, offset: number, why: string) {
    super(`Cannot decode ${layer} at byte ${offset}: ${why}`);
    this.layer = layer;
    this.offset = offset;
  }
}
