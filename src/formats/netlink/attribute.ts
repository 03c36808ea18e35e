// struct nlattr { __u16 nla_len; __u16 nla_type; } and its payload, padded to four bytes; nla_len counts no padding.
import { type IpAddress, ipFromBytes, ipToBytes, type MacAddress, macFromBytes, macToBytes } from "../netip/index.ts";
import { DecodeError } from "./errors.ts";

const NLA_HDRLEN = 4;
const NLA_F_NESTED = 0x8000;
/** Without NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
const NLA_TYPE_MASK = 0x3fff;
const NLA_MAX = 0xffff;

/** NLA_ALIGN, NLMSG_ALIGN. */
export function align4(length: number): number {
  return (length + 3) & ~3;
}

const text = { encoder: new TextEncoder(), decoder: new TextDecoder() };

/** Where payloads are spelled before they are cut out, grown as needed. Small typed arrays are dear: one serves all. */
interface Scratch {
  bytes: Uint8Array;
  view: DataView;
}

let idle: Scratch | undefined;

function newScratch(length: number): Scratch {
  const bytes = new Uint8Array(length);
  return { bytes, view: new DataView(bytes.buffer) };
}

/** Spells a payload: a fixed header, then attributes. A value that is undefined writes nothing. */
export class AttributeWriter {
  readonly #scratch: Scratch;
  #length = 0;

  /**
   * @param header its bytes, or how many
   * @param fill writes the header, whose bytes are 0, at the offset it is given
   */
  constructor(header: Uint8Array | number = 0, fill: (view: DataView, offset: number) => void = () => {}) {
    // Two writers at once are rare, but may be: the second makes itself a scratch of its own.
    this.#scratch = idle ?? newScratch(1024);
    idle = undefined;
    if (typeof header === "number") this.#header(header, fill);
    else {
      this.#reserve(align4(header.length));
      this.#scratch.bytes.set(header);
    }
  }

  #header(length: number, fill: (view: DataView, offset: number) => void): void {
    const start = this.#reserve(align4(length));
    fill(this.#scratch.view, start);
  }

  /** Makes room, all zero; gives where it begins. */
  #reserve(length: number): number {
    const start = this.#length;
    const end = start + length;
    if (end > this.#scratch.bytes.length) {
      const { bytes } = this.#scratch;
      Object.assign(this.#scratch, newScratch(2 * end));
      this.#scratch.bytes.set(bytes);
    }
    this.#scratch.bytes.fill(0, start, end);
    this.#length = end;
    return start;
  }

  /** Writes an attribute's nlattr; gives where its payload begins. */
  #attribute(type: number, payloadLength: number): number {
    if (NLA_HDRLEN + payloadLength > NLA_MAX)
      throw new RangeError(`Attribute ${type} of ${payloadLength} bytes: too long`);
    const start = this.#reserve(align4(NLA_HDRLEN + payloadLength));
    this.#scratch.view.setUint16(start, NLA_HDRLEN + payloadLength, true);
    this.#scratch.view.setUint16(start + 2, type, true);
    return start + NLA_HDRLEN;
  }

  u8(type: number, value: number | undefined): this {
    if (value !== undefined) this.#put(this.#attribute(type, 1), value, "setUint8");
    return this;
  }

  /** A __u8 that is 0 or 1. */
  bool(type: number, value: boolean | undefined): this {
    return this.u8(type, value === undefined ? undefined : Number(value));
  }

  u16(type: number, value: number | undefined): this {
    if (value !== undefined) this.#put(this.#attribute(type, 2), value, "setUint16");
    return this;
  }

  /** A __be16, such as a UDP port. */
  be16(type: number, value: number | undefined): this {
    return this.u16(type, value === undefined ? undefined : ((value & 0xff) << 8) | ((value >> 8) & 0xff));
  }

  u32(type: number, value: number | undefined): this {
    if (value !== undefined) this.#put(this.#attribute(type, 4), value, "setUint32");
    return this;
  }

  u64(type: number, value: bigint | undefined): this {
    if (value === undefined) return this;
    const at = this.#attribute(type, 8);
    this.#scratch.view.setBigUint64(at, value, true);
    return this;
  }

  /** Only after the room was made: making it may replace the scratch's view. */
  #put(at: number, value: number, how: "setUint8" | "setUint16" | "setUint32"): void {
    this.#scratch.view[how](at, value, true);
  }

  bytes(type: number, value: Uint8Array | undefined): this {
    if (value !== undefined) {
      const at = this.#attribute(type, value.length);
      this.#scratch.bytes.set(value, at);
    }
    return this;
  }

  /** NUL-terminated, as NLA_NUL_STRING wants it. */
  text(type: number, value: string | undefined): this {
    return this.bytes(type, value === undefined ? undefined : text.encoder.encode(`${value}\0`));
  }

  ip(type: number, value: IpAddress | undefined): this {
    return this.bytes(type, value === undefined ? undefined : ipToBytes(value));
  }

  mac(type: number, value: MacAddress | undefined): this {
    return this.bytes(type, value === undefined ? undefined : macToBytes(value));
  }

  /** An attribute that says all by being there. */
  flag(type: number, value: boolean | undefined): this {
    if (value) this.#attribute(type, 0);
    return this;
  }

  /** Attributes within an attribute; some (VETH_INFO_PEER) have a header of their own before these. */
  nested(
    type: number,
    write: (inner: this) => void,
    headerLength = 0,
    fill: (view: DataView, offset: number) => void = () => {},
  ): this {
    const start = this.#attribute(type | NLA_F_NESTED, 0) - NLA_HDRLEN;
    this.#header(headerLength, fill);
    write(this);
    const length = this.#length - start;
    if (length > NLA_MAX) throw new RangeError(`Attribute ${type} of ${length} bytes: too long`);
    this.#scratch.view.setUint16(start, length, true);
    return this;
  }

  /** The payload. Once only: what was written is gone then. */
  finish(): Uint8Array {
    const payload = this.#scratch.bytes.slice(0, this.#length);
    this.#length = 0;
    idle = this.#scratch;
    return payload;
  }
}

/** nla_len of the attribute at `at`; 0 behind the last. @throws {DecodeError} */
function attributeLength(view: DataView, at: number, layer: string, base: number): number {
  const left = view.byteLength - at;
  // Fewer bytes than a header are padding, which the kernel's own parser passes over too.
  if (left < NLA_HDRLEN) return 0;
  const length = view.getUint16(at, true);
  if (length < NLA_HDRLEN) throw new DecodeError(layer, base + at, `an attribute of ${length} bytes`);
  if (length > left) throw new DecodeError(layer, base + at, `an attribute of ${length} bytes where ${left} are left`);
  return length;
}

/** A decoded list of attributes, by type. A getter gives undefined for what is not there, and throws for what has the wrong size. */
export class Attributes {
  readonly #layer: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Of `#bytes`, in the buffer that was decoded. */
  readonly #base: number;
  /** Where each type's payload begins. A link has sixty, of which few are looked at: views are made of those alone. */
  readonly #starts = new Map<number, number>();

  /** @param offset where the attributes begin in `bytes` */
  constructor(bytes: Uint8Array, layer: string, offset = 0, base = 0) {
    this.#layer = layer;
    this.#bytes = bytes;
    this.#base = base;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#view = view;
    for (let at = offset, length = 0; ; at += align4(length)) {
      length = attributeLength(view, at, layer, base);
      if (length === 0) return;
      // Of two attributes of one type the last one counts, as in the kernel's nla_parse().
      this.#starts.set(view.getUint16(at + 2, true) & NLA_TYPE_MASK, at + NLA_HDRLEN);
    }
  }

  #lengthAt(start: number): number {
    return this.#view.getUint16(start - NLA_HDRLEN, true) - NLA_HDRLEN;
  }

  /** Where a payload of exactly `length` bytes begins. */
  #sized(type: number, length: number): number | undefined {
    const start = this.#starts.get(type);
    if (start !== undefined && this.#lengthAt(start) !== length)
      throw new DecodeError(
        this.#layer,
        this.#base + start,
        `attribute ${type} has ${this.#lengthAt(start)} bytes instead of ${length}`,
      );
    return start;
  }

  has(type: number): boolean {
    return this.#starts.has(type);
  }

  u8(type: number): number | undefined {
    const start = this.#sized(type, 1);
    return start === undefined ? undefined : this.#view.getUint8(start);
  }

  bool(type: number): boolean | undefined {
    const value = this.u8(type);
    return value === undefined ? undefined : value !== 0;
  }

  u16(type: number): number | undefined {
    const start = this.#sized(type, 2);
    return start === undefined ? undefined : this.#view.getUint16(start, true);
  }

  be16(type: number): number | undefined {
    const start = this.#sized(type, 2);
    return start === undefined ? undefined : this.#view.getUint16(start);
  }

  u32(type: number): number | undefined {
    const start = this.#sized(type, 4);
    return start === undefined ? undefined : this.#view.getUint32(start, true);
  }

  /** A __be32, as netfilter's numbers are. */
  be32(type: number): number | undefined {
    const start = this.#sized(type, 4);
    return start === undefined ? undefined : this.#view.getUint32(start);
  }

  /** A __be64, as netfilter's handles are. */
  be64(type: number): bigint | undefined {
    const start = this.#sized(type, 8);
    return start === undefined ? undefined : this.#view.getBigUint64(start);
  }

  /** A __u64, or the one that a structure of `length` bytes begins with; exact up to 2^53. */
  u64(type: number, length = 8): number | undefined {
    const start = this.#sized(type, length);
    return start === undefined ? undefined : Number(this.#view.getBigUint64(start, true));
  }

  bytes(type: number): Uint8Array | undefined {
    const start = this.#starts.get(type);
    return start === undefined ? undefined : this.#bytes.subarray(start, start + this.#lengthAt(start));
  }

  text(type: number): string | undefined {
    const bytes = this.bytes(type);
    if (bytes === undefined) return undefined;
    const end = bytes.indexOf(0);
    return text.decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
  }

  /** Of either family, told by its length. */
  ip(type: number): IpAddress | undefined {
    const bytes = this.bytes(type);
    if (bytes === undefined) return undefined;
    if (bytes.length !== 4 && bytes.length !== 16)
      throw new DecodeError(this.#layer, this.#offsetOf(type), `an address of ${bytes.length} bytes`);
    return ipFromBytes(bytes);
  }

  /** undefined as well for a link-layer address that is no MAC (a tunnel's, InfiniBand's). */
  mac(type: number): MacAddress | undefined {
    const bytes = this.bytes(type);
    return bytes?.length === 6 ? macFromBytes(bytes) : undefined;
  }

  nested(type: number, layer: string): Attributes | undefined {
    const bytes = this.bytes(type);
    return bytes && new Attributes(bytes, layer, 0, this.#offsetOf(type));
  }

  /** An array: attributes whose types mean nothing, each with attributes of its own. Empty when there is none. */
  elements(type: number, layer: string): Attributes[] {
    const array: Attributes[] = [];
    const bytes = this.bytes(type) ?? new Uint8Array();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0, length = 0; ; at += align4(length)) {
      length = attributeLength(view, at, layer, this.#offsetOf(type));
      if (length === 0) return array;
      const start = at + NLA_HDRLEN;
      array.push(new Attributes(bytes.subarray(start, at + length), layer, 0, this.#offsetOf(type) + start));
    }
  }

  #offsetOf(type: number): number {
    return this.#base + (this.#starts.get(type) ?? 0);
  }
}

/** The fixed structure that a payload begins with. @throws {DecodeError} when the payload is shorter */
export function fixedHeader(payload: Uint8Array, length: number, layer: string): DataView {
  if (payload.length < length)
    throw new DecodeError(layer, payload.length, `${payload.length} bytes where ${length} are needed`);
  return new DataView(payload.buffer, payload.byteOffset, length);
}
