/** Bytes that are not what their layer claims. `offset` is counted from the layer's first byte. */
export class DecodeError extends RangeError {
  override name = "DecodeError";
  readonly layer: string;
  readonly offset: number;

  constructor(layer: string, offset: number, why: string) {
    super(`Cannot decode ${layer} at byte ${offset}: ${why}`);
    this.layer = layer;
    this.offset = offset;
  }
}
