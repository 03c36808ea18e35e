import { IoVectors, setAddress } from "./io-vectors.ts";
import { type MappedMemory, mapMemory, poll, recvmmsg, sendmmsg } from "./sys.ts";

// struct mmsghdr, 64-bit layout: struct msghdr (name, namelen, iov, iovlen, control, controllen, flags) and msg_len.
const MMSGHDR_BYTES = 64;
const [NAME, NAME_BYTES, IOV, IOV_COUNT, CONTROL, CONTROL_BYTES, MSG_LENGTH] = [0, 8, 16, 24, 32, 40, 56];
const SOCKADDR_IN_BYTES = 16;
const AF_INET = 2;
// A struct cmsghdr with a u16 or an int, padded to eight bytes.
const CMSG_SPACE = 24;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;
const MSG_DONTWAIT = 0x40;
const POLLOUT = 4;
const [EINTR, EIO, EAGAIN, EINVAL, EMSGSIZE] = [4, 5, 11, 22, 90];

/** What UDP_SEGMENT takes (UDP_MAX_SEGMENTS of the older kernels), and what fits into one IPv4 packet. */
const MAX_SEGMENTS = 64;
const MAX_BYTES = 0xffff - 28;
/** Each datagram is a piece of headers and one of payload, of which either may be empty. */
const PIECES = 2;
/** How long a full send buffer is waited for. */
const PATIENCE_MS = 20;

export interface SendReport {
  sent(datagrams: number, bytes: number): void;
  /** The kernel refused them, with this errno. */
  failed(errno: number, datagrams: number, bytes: number): void;
}

interface Message {
  destination: number;
  /** Of each datagram but the last, which may be shorter and then is the last. */
  datagramBytes: number;
  datagrams: number;
  bytes: number;
  isFull: boolean;
  firstVector: number;
}

/** Datagrams to be sent by one call. Neighbours of one size to one place travel as one (UDP_SEGMENT), in their order. */
export class DatagramBatch {
  readonly #vectors: IoVectors;
  readonly #memory: MappedMemory;
  readonly #view: DataView;
  readonly #messages: Message[];
  readonly #pollfd: MappedMemory = mapMemory(8);
  /** Whether the device can: it has to compute checksums for that. */
  #segments = true;
  #count = 0;

  /** @param memory where the datagrams lie */
  constructor(
    memory: MappedMemory,
    { messages = 64, datagrams = 4096 }: { messages?: number; datagrams?: number } = {},
  ) {
    this.#vectors = new IoVectors(memory, datagrams * PIECES);
    this.#memory = mapMemory(messages * (MMSGHDR_BYTES + SOCKADDR_IN_BYTES + CMSG_SPACE));
    this.#view = new DataView(this.#memory.bytes.buffer);
    this.#messages = Array.from({ length: messages }, () => ({
      ...{ destination: 0, datagramBytes: 0, datagrams: 0, bytes: 0 },
      ...{ isFull: true, firstVector: 0 },
    }));
    for (let i = 0; i < messages; i++) this.#layOut(i);
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Whether so many more datagrams to one place fit, whatever their size. */
  hasRoom(datagrams: number, bytes: number): boolean {
    const messages = Math.ceil(datagrams / MAX_SEGMENTS) + Math.ceil(bytes / (MAX_BYTES / 2)) + 1;
    return (
      this.#vectors.count + datagrams * PIECES <= this.#vectors.capacity &&
      this.#count + messages <= this.#messages.length
    );
  }

  /**
   * Appends a datagram; its pieces must stay as they are until send().
   * @param destination IPv4 address as it lies in a packet, read little-endian
   */
  append(
    destination: number,
    port: number,
    header: number,
    headerBytes: number,
    payload: number,
    payloadBytes: number,
  ): void {
    const bytes = headerBytes + payloadBytes;
    let message = this.#count > 0 ? this.#messages[this.#count - 1] : undefined;
    if (
      !message ||
      message.isFull ||
      message.destination !== destination ||
      bytes > message.datagramBytes ||
      message.bytes + bytes > MAX_BYTES
    )
      message = this.#begin(destination, port, bytes);
    this.#vectors.push(header, headerBytes);
    this.#vectors.push(payload, payloadBytes);
    message.datagrams++;
    message.bytes += bytes;
    message.isFull = bytes < message.datagramBytes || message.datagrams === MAX_SEGMENTS || !this.#segments;
  }

  #begin(destination: number, port: number, datagramBytes: number): Message {
    const index = this.#count++;
    const message = this.#messages[index];
    if (!message) throw new RangeError("Cannot append a datagram: the batch is full");
    message.destination = destination;
    message.datagramBytes = datagramBytes;
    message.datagrams = 0;
    message.bytes = 0;
    message.firstVector = this.#vectors.count;
    const name = this.#nameOffset(index);
    this.#view.setUint16(name + 2, port);
    this.#view.setUint32(name + 4, destination, true);
    return message;
  }

  /** Sends all, and is empty then. What the kernel refuses is reported and dropped. */
  send(fd: number, report: SendReport): void {
    for (let i = 0; i < this.#count; i++) this.#address(i);
    for (let i = 0; i < this.#count; ) {
      const sent = this.#call(fd, i, this.#count - i);
      if (sent > 0) {
        for (const end = i + sent; i < end; i++) {
          const message = this.#messages[i];
          if (message) report.sent(message.datagrams, message.bytes);
        }
        continue;
      }
      const message = this.#messages[i];
      if (message) this.#retry(fd, i, message, -sent, report);
      i++;
    }
    this.#count = 0;
    this.#vectors.clear();
  }

  #address(index: number): void {
    const message = this.#messages[index];
    if (!message) return;
    const header = index * MMSGHDR_BYTES;
    setAddress(this.#view, header + IOV, this.#vectors.addressOf(message.firstVector));
    this.#view.setUint32(header + IOV_COUNT, message.datagrams * PIECES, true);
    const isOne = message.datagrams === 1;
    this.#view.setUint32(header + CONTROL_BYTES, isOne ? 0 : CMSG_SPACE, true);
    if (!isOne) this.#view.setUint16(this.#controlOffset(index) + 16, message.datagramBytes, true);
  }

  /** More than 0, or a negated errno that is the first message's. */
  #call(fd: number, first: number, count: number): number {
    const address = this.#memory.address + first * MMSGHDR_BYTES;
    for (let attempt = 0; ; attempt++) {
      const sent = sendmmsg(fd, address, count, MSG_DONTWAIT);
      if (sent > 0) return sent;
      if (sent === -EINTR) continue;
      if (sent !== -EAGAIN || attempt > 0) return sent || -EAGAIN;
      const view = new DataView(this.#pollfd.bytes.buffer);
      view.setInt32(0, fd, true);
      view.setUint16(4, POLLOUT, true);
      poll(this.#pollfd.address, 1, PATIENCE_MS);
    }
  }

  /** Where the kernel cannot segment (a smaller path MTU, a device without checksums), one by one, fragmented by IP. */
  #retry(fd: number, index: number, message: Message, errno: number, report: SendReport): void {
    const { datagrams, datagramBytes, bytes } = message;
    if (datagrams === 1 || (errno !== EINVAL && errno !== EIO && errno !== EMSGSIZE)) {
      report.failed(errno, datagrams, bytes);
      return;
    }
    if (errno === EIO) this.#segments = false;
    const header = index * MMSGHDR_BYTES;
    this.#view.setUint32(header + CONTROL_BYTES, 0, true);
    this.#view.setUint32(header + IOV_COUNT, PIECES, true);
    for (let i = 0; i < datagrams; i++) {
      setAddress(this.#view, header + IOV, this.#vectors.addressOf(message.firstVector + i * PIECES));
      const size = i === datagrams - 1 ? bytes - i * datagramBytes : datagramBytes;
      const sent = this.#call(fd, index, 1);
      if (sent > 0) report.sent(1, size);
      else report.failed(-sent, 1, size);
    }
  }

  #layOut(index: number): void {
    const [header, name, control] = [index * MMSGHDR_BYTES, this.#nameOffset(index), this.#controlOffset(index)];
    this.#view.setUint16(name, AF_INET, true);
    setAddress(this.#view, header + NAME, this.#memory.address + name);
    this.#view.setUint32(header + NAME_BYTES, SOCKADDR_IN_BYTES, true);
    setAddress(this.#view, header + CONTROL, this.#memory.address + control);
    this.#view.setUint32(control, 18, true);
    this.#view.setInt32(control + 8, SOL_UDP, true);
    this.#view.setInt32(control + 12, UDP_SEGMENT, true);
  }

  #nameOffset(index: number): number {
    return this.#messages.length * MMSGHDR_BYTES + index * SOCKADDR_IN_BYTES;
  }

  #controlOffset(index: number): number {
    return this.#messages.length * (MMSGHDR_BYTES + SOCKADDR_IN_BYTES) + index * CMSG_SPACE;
  }
}

/** Memory for datagrams that arrive, many by one call, each of them possibly many that the kernel put together. */
export class DatagramInbox {
  readonly #headers: MappedMemory;
  readonly #view: DataView;
  readonly #slots: number;
  readonly #slotBytes: number;
  readonly #offset: number;
  #used: number;

  /** @param memory where the datagrams shall lie: `slots` times `slotBytes` from `offset` on */
  constructor(memory: MappedMemory, offset: number, slots: number, slotBytes: number) {
    const vectors = new IoVectors(memory, slots);
    this.#headers = mapMemory(slots * (MMSGHDR_BYTES + CMSG_SPACE));
    this.#view = new DataView(this.#headers.bytes.buffer);
    this.#slots = slots;
    this.#slotBytes = slotBytes;
    this.#offset = offset;
    this.#used = slots;
    for (let slot = 0; slot < slots; slot++) {
      vectors.push(this.offsetOf(slot), slotBytes);
      const header = slot * MMSGHDR_BYTES;
      setAddress(this.#view, header + IOV, vectors.addressOf(slot));
      this.#view.setUint32(header + IOV_COUNT, 1, true);
      setAddress(this.#view, header + CONTROL, this.#headers.address + this.#controlOffset(slot));
    }
  }

  /** How many slots were filled, or a negated errno. */
  receive(fd: number): number {
    // The kernel wrote over them what there was.
    for (let slot = 0; slot < this.#used; slot++)
      this.#view.setUint32(slot * MMSGHDR_BYTES + CONTROL_BYTES, CMSG_SPACE, true);
    const count = recvmmsg(fd, this.#headers.address, this.#slots, MSG_DONTWAIT, null);
    this.#used = Math.max(0, count);
    return count;
  }

  offsetOf(slot: number): number {
    return this.#offset + slot * this.#slotBytes;
  }

  lengthOf(slot: number): number {
    return this.#view.getUint32(slot * MMSGHDR_BYTES + MSG_LENGTH, true);
  }

  /** The size of each datagram in the slot but the last. */
  datagramBytesOf(slot: number): number {
    const hasControl = this.#view.getUint32(slot * MMSGHDR_BYTES + CONTROL_BYTES, true) >= CMSG_SPACE - 4;
    const control = this.#controlOffset(slot);
    const isGro =
      hasControl &&
      this.#view.getInt32(control + 8, true) === SOL_UDP &&
      this.#view.getInt32(control + 12, true) === UDP_GRO;
    return isGro ? this.#view.getUint32(control + 16, true) : this.lengthOf(slot);
  }

  #controlOffset(slot: number): number {
    return this.#slots * MMSGHDR_BYTES + slot * CMSG_SPACE;
  }
}
