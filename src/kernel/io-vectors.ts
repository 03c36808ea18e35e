import { type MappedMemory, mapMemory } from "./sys.ts";

const IOVEC_BYTES = 16;

/** Pieces of one MappedMemory, as an array of `struct iovec`: what a call gathers from. */
export class IoVectors {
  readonly #vectors: MappedMemory;
  readonly #view: DataView;
  readonly #base: number;
  readonly capacity: number;
  count = 0;

  constructor(memory: MappedMemory, capacity: number) {
    this.#vectors = mapMemory(capacity * IOVEC_BYTES);
    this.#view = new DataView(this.#vectors.bytes.buffer);
    this.#base = memory.address;
    this.capacity = capacity;
  }

  /** `offset` in the memory. The caller knows that there is room. */
  push(offset: number, length: number): void {
    const at = this.count++ * IOVEC_BYTES;
    setAddress(this.#view, at, this.#base + offset);
    this.#view.setUint32(at + 8, length, true);
  }

  clear(): void {
    this.count = 0;
  }

  /** Of the vector with this number. */
  addressOf(index: number): number {
    return this.#vectors.address + index * IOVEC_BYTES;
  }

  unmap(): void {
    this.#vectors.unmap();
  }
}

/** A pointer; without BigInt, which would be an object each time. */
export function setAddress(view: DataView, at: number, address: number): void {
  view.setUint32(at, address, true);
  view.setUint32(at + 4, address / 0x1_0000_0000, true);
}
