// Addresses are branded strings in canonical text form: they compare with ===, key a Map, and print as themselves.
import { ParseError } from "./errors.ts";

declare const family: unique symbol;
/** An IPv4 address in dotted-decimal form, e.g. `10.244.1.2`. */
export type Ipv4Address = string & { readonly [family]: 4 };
/** An IPv6 address in the canonical text form of RFC 5952, e.g. `fd00::1`. */
export type Ipv6Address = string & { readonly [family]: 6 };
export type IpAddress = Ipv4Address | Ipv6Address;
export type IpFamily = 4 | 6;

export const ADDRESS_BITS = { 4: 32, 6: 128 } as const;

export function isIpv4(ip: IpAddress): ip is Ipv4Address {
  return !ip.includes(":");
}

export function isIpv6(ip: IpAddress): ip is Ipv6Address {
  return ip.includes(":");
}

export function familyOf(ip: IpAddress): IpFamily {
  return isIpv6(ip) ? 6 : 4;
}

export function parseIp(text: string): IpAddress {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** Four decimal octets; no leading zeros, which other parsers read as octal. */
export function parseIpv4(text: string): Ipv4Address {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255))
    throw new ParseError("IPv4 address", text);
  return text as Ipv4Address;
}

/** RFC 4291 §2.2 forms, including an embedded IPv4 tail; no zone. The result is canonical (RFC 5952). */
export function parseIpv6(text: string): Ipv6Address {
  const fail = (why?: string): never => {
    throw new ParseError("IPv6 address", text, why);
  };
  if (text.length > 45) return fail("too long");
  let source = text;
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (tail) {
    const b = ipToBytes(parseIpv4(tail[2] ?? ""));
    const word = (i: number): string => (((b[i] ?? 0) << 8) | (b[i + 1] ?? 0)).toString(16);
    source = `${tail[1]}${word(0)}:${word(2)}`;
  }
  const halves = source.split("::");
  if (halves.length > 2) return fail("more than one ::");
  const words = (half: string): number[] =>
    half === ""
      ? []
      : half.split(":").map((word) => (/^[0-9a-fA-F]{1,4}$/.test(word) ? Number.parseInt(word, 16) : fail()));
  const head = words(halves[0] ?? "");
  const rest = halves.length === 2 ? words(halves[1] ?? "") : [];
  const missing = 8 - head.length - rest.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return fail();
  return formatWords([...head, ...new Array<number>(missing).fill(0), ...rest]);
}

export function ipToBytes(ip: IpAddress): Uint8Array {
  if (isIpv4(ip)) {
    // Without lists in between: this runs for each peer and message.
    const bytes = new Uint8Array(4);
    for (let i = 0, octet = 0; i < ip.length; i++) {
      const digit = ip.charCodeAt(i) - 48;
      if (digit < 0) octet++;
      else bytes[octet] = (bytes[octet] ?? 0) * 10 + digit;
    }
    return bytes;
  }
  const halves = ip.split("::");
  const words = (half: string | undefined): number[] =>
    half ? half.split(":").map((word) => Number.parseInt(word, 16)) : [];
  const head = words(halves[0]);
  const rest = words(halves[1]);
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  head.forEach((word, i) => {
    view.setUint16(2 * i, word);
  });
  rest.forEach((word, i) => {
    view.setUint16(16 - 2 * (rest.length - i), word);
  });
  return bytes;
}

/** @throws {ParseError} unless there are exactly 4 or 16 bytes */
export function ipFromBytes(bytes: Uint8Array): IpAddress {
  if (bytes.length === 4) return bytes.join(".") as Ipv4Address;
  if (bytes.length !== 16) throw new ParseError("address of", `${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  return formatWords(Array.from({ length: 8 }, (_, i) => view.getUint16(2 * i)));
}

export function ipToBigInt(ip: IpAddress): bigint {
  return ipToBytes(ip).reduce((n, byte) => (n << 8n) | BigInt(byte), 0n);
}

/** @throws {ParseError} when `n` is outside the family's address space */
export function ipFromBigInt(n: bigint, ipFamily: IpFamily): IpAddress {
  const length = ADDRESS_BITS[ipFamily] / 8;
  if (n < 0n || n >> BigInt(length * 8) !== 0n) throw new ParseError(`IPv${ipFamily} address number`, String(n));
  return ipFromBytes(Uint8Array.from({ length }, (_, i) => Number((n >> BigInt(8 * (length - 1 - i))) & 0xffn)));
}

/** The address `offset` after (before, when negative) `ip`. */
export function addToIp(ip: IpAddress, offset: number | bigint): IpAddress {
  return ipFromBigInt(ipToBigInt(ip) + BigInt(offset), familyOf(ip));
}

/** Orders IPv4 before IPv6, then by number. */
export function compareIp(a: IpAddress, b: IpAddress): number {
  if (familyOf(a) !== familyOf(b)) return familyOf(a) - familyOf(b);
  const [x, y] = [ipToBigInt(a), ipToBigInt(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

function formatWords(words: readonly number[]): Ipv6Address {
  // RFC 5952 §4.2: the longest run of two or more zero words becomes "::"; the first of equals.
  let [start, length] = [-1, 1];
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && words[i + run] === 0) run++;
    if (run > length) [start, length] = [i, run];
  }
  const hex = (part: readonly number[]): string => part.map((word) => word.toString(16)).join(":");
  const text = start < 0 ? hex(words) : `${hex(words.slice(0, start))}::${hex(words.slice(start + length))}`;
  return text as Ipv6Address;
}
