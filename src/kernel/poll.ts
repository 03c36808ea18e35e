import { type MappedMemory, mapMemory, poll } from "./sys.ts";

const [POLLIN, POLLOUT, POLLERR, POLLHUP] = [1, 4, 8, 16];
const POLLFD_BYTES = 8;
const EINTR = 4;

/**
 * poll(2): waits on this thread for any of a few descriptors. For a thread that does nothing else, and holds no event
 * loop up.
 */
export class Poll {
  readonly #memory: MappedMemory;
  readonly #view: DataView;
  readonly #places: number;

  constructor(places: number) {
    this.#places = places;
    this.#memory = mapMemory(places * POLLFD_BYTES);
    this.#view = new DataView(this.#memory.bytes.buffer);
    for (let place = 0; place < places; place++) this.watch(place, undefined);
  }

  /** What to wait for at a place: that `fd` can be read from, or written to; undefined: nothing. */
  watch(place: number, fd: number | undefined, writable = false): void {
    this.#view.setInt32(place * POLLFD_BYTES, fd ?? -1, true);
    this.#view.setUint16(place * POLLFD_BYTES + 4, writable ? POLLOUT : POLLIN, true);
    this.#view.setUint16(place * POLLFD_BYTES + 6, 0, true);
  }

  /** Returns when something is ready or the time is over, or a signal came. */
  wait(timeoutMs: number): void {
    const result = poll(this.#memory.address, this.#places, timeoutMs);
    if (result < 0 && result !== -EINTR) throw new Error(`Cannot poll ${this.#places} descriptors: errno ${-result}`);
    // The answers of last time are not this one's.
    if (result < 0) for (let p = 0; p < this.#places; p++) this.#view.setUint16(p * POLLFD_BYTES + 6, 0, true);
  }

  /** Something to read, or the other end has gone, or an error to be read. */
  isReady(place: number): boolean {
    return this.#answer(place) !== 0;
  }

  /** An error that stays for as long as its reason does, with nothing to read: a TUN device that is down. */
  isBroken(place: number): boolean {
    return (this.#answer(place) & (POLLERR | POLLIN)) === POLLERR;
  }

  isHungUp(place: number): boolean {
    return (this.#answer(place) & POLLHUP) !== 0;
  }

  #answer(place: number): number {
    return this.#view.getUint16(place * POLLFD_BYTES + 6, true);
  }
}
