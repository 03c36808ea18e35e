// The pcapng file format, draft-ietf-opsawg-pcapng: blocks of a type, a length, a body and the length again, each padded
// to four bytes. Written little-endian, as the byte-order magic says.

const SECTION_HEADER_BLOCK = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION_BLOCK = 1;
const ENHANCED_PACKET_BLOCK = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const LINKTYPE_ETHERNET = 1;
const OPT_ENDOFOPT = 0;
const OPT_COMMENT = 1;
const SHB_USERAPPL = 4;
const IF_NAME = 2;
const IF_DESCRIPTION = 3;
const IF_TSRESOL = 9;
const EPB_FLAGS = 2;
/** if_tsresol: 10^-9 s. */
const NANOSECONDS = 9;

export interface PcapngInterface {
  readonly name: string;
  readonly description?: string;
}

export interface PcapngPacket {
  /** What addInterface() returned. */
  readonly interfaceId: number;
  /** Nanoseconds since 1970-01-01 UTC. */
  readonly timestampNs: bigint;
  readonly frame: Uint8Array;
  /** How long it was on the wire, when `frame` is only its start. */
  readonly originalLength?: number;
  readonly comment?: string;
  readonly direction?: "rx" | "tx";
}

/** Builds a pcapng file of Ethernet frames with nanosecond times. */
export class PcapngWriter {
  readonly #blocks: Uint8Array[] = [];
  #interfaces = 0;

  /** `application` goes into the section header, where readers show who wrote the file. */
  constructor(application = "podpath") {
    const body = new Uint8Array(16);
    const view = new DataView(body.buffer);
    view.setUint32(0, BYTE_ORDER_MAGIC, true);
    view.setUint16(4, 1, true);
    // The section's length is not known when its header is written: -1.
    view.setBigInt64(8, -1n, true);
    this.#add(SECTION_HEADER_BLOCK, [body, ...options([SHB_USERAPPL, utf8(application)])]);
  }

  /** Interfaces may be added at any time before the packets that name them. Returns the id to name it by. */
  addInterface({ name, description }: PcapngInterface): number {
    const body = new Uint8Array(8);
    new DataView(body.buffer).setUint16(0, LINKTYPE_ETHERNET, true);
    const named: Option[] = [[IF_NAME, utf8(name)]];
    if (description !== undefined) named.push([IF_DESCRIPTION, utf8(description)]);
    this.#add(INTERFACE_DESCRIPTION_BLOCK, [body, ...options(...named, [IF_TSRESOL, Uint8Array.of(NANOSECONDS)])]);
    return this.#interfaces++;
  }

  addPacket(packet: PcapngPacket): void {
    const { interfaceId, timestampNs, frame, originalLength = frame.length, comment, direction } = packet;
    if (interfaceId < 0 || interfaceId >= this.#interfaces)
      throw new RangeError(`Cannot add a packet of interface ${interfaceId}: ${this.#interfaces} were added`);
    const head = new Uint8Array(20);
    const view = new DataView(head.buffer);
    view.setUint32(0, interfaceId, true);
    view.setUint32(4, Number((timestampNs >> 32n) & 0xffffffffn), true);
    view.setUint32(8, Number(timestampNs & 0xffffffffn), true);
    view.setUint32(12, frame.length, true);
    view.setUint32(16, originalLength, true);
    const said: Option[] = [];
    if (comment !== undefined) said.push([OPT_COMMENT, utf8(comment)]);
    if (direction) said.push([EPB_FLAGS, Uint8Array.of(direction === "rx" ? 1 : 2, 0, 0, 0)]);
    this.#add(ENHANCED_PACKET_BLOCK, [head, padded(frame), ...options(...said)]);
  }

  finish(): Uint8Array {
    return join(this.#blocks);
  }

  #add(type: number, body: readonly Uint8Array[]): void {
    const length = 12 + body.reduce((sum, part) => sum + part.length, 0);
    const block = join([new Uint8Array(8), ...body, new Uint8Array(4)]);
    const view = new DataView(block.buffer);
    view.setUint32(0, type, true);
    view.setUint32(4, length, true);
    view.setUint32(length - 4, length, true);
    this.#blocks.push(block);
  }
}

type Option = readonly [code: number, value: Uint8Array];

function options(...list: readonly Option[]): Uint8Array[] {
  if (list.length === 0) return [];
  return [...list, [OPT_ENDOFOPT, new Uint8Array()] as const].map(([code, value]) => {
    const head = new Uint8Array(4);
    const view = new DataView(head.buffer);
    view.setUint16(0, code, true);
    view.setUint16(2, value.length, true);
    return join([head, padded(value)]);
  });
}

/** An option's length is 16 bits; a longer text is cut at a whole character. */
function utf8(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= 0xffff) return bytes;
  let end = 0xffff;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

function padded(bytes: Uint8Array): Uint8Array {
  return bytes.length % 4 === 0 ? bytes : join([bytes, new Uint8Array(4 - (bytes.length % 4))]);
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
