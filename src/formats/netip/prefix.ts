import {
  ADDRESS_BITS,
  addToIp,
  familyOf,
  type IpAddress,
  type IpFamily,
  ipFromBigInt,
  ipToBigInt,
  isIpv4,
  parseIp,
} from "./address.ts";
import { ParseError } from "./errors.ts";

/** An address with a prefix length. Host bits may be set (`10.244.1.1/24`); `maskPrefix` clears them. */
export interface Prefix {
  readonly address: IpAddress;
  readonly length: number;
}

export function parsePrefix(text: string): Prefix {
  const [ip, length, ...more] = text.split("/");
  if (ip === undefined || length === undefined || more.length > 0 || !/^(0|[1-9][0-9]{0,2})$/.test(length))
    throw new ParseError("prefix", text, "want ADDRESS/LENGTH");
  const address = parseIp(ip);
  if (Number(length) > prefixBits({ address })) throw new ParseError("prefix", text, "length too large");
  return { address, length: Number(length) };
}

export function formatPrefix(prefix: Prefix): string {
  return `${prefix.address}/${prefix.length}`;
}

/** 32 or 128. */
export function prefixBits(prefix: Pick<Prefix, "address">): number {
  return ADDRESS_BITS[prefixFamily(prefix)];
}

export function prefixFamily(prefix: Pick<Prefix, "address">): IpFamily {
  return familyOf(prefix.address);
}

/** How many addresses the prefix holds. */
export function prefixSize(prefix: Prefix): bigint {
  return 1n << BigInt(prefixBits(prefix) - prefix.length);
}

/** The same prefix with its host bits cleared. */
export function maskPrefix(prefix: Prefix): Prefix {
  const size = prefixSize(prefix);
  const n = ipToBigInt(prefix.address);
  return { address: ipFromBigInt(n - (n % size), prefixFamily(prefix)), length: prefix.length };
}

/** The highest address of the prefix: for IPv4 the broadcast address. */
export function lastAddress(prefix: Prefix): IpAddress {
  return addToIp(maskPrefix(prefix).address, prefixSize(prefix) - 1n);
}

export function prefixContains(prefix: Prefix, ip: IpAddress): boolean {
  if (isIpv4(prefix.address) !== isIpv4(ip)) return false;
  const shift = BigInt(prefixBits(prefix) - prefix.length);
  return ipToBigInt(prefix.address) >> shift === ipToBigInt(ip) >> shift;
}

export function prefixesOverlap(a: Prefix, b: Prefix): boolean {
  return a.length <= b.length ? prefixContains(a, b.address) : prefixContains(b, a.address);
}

export function prefixesEqual(a: Prefix, b: Prefix): boolean {
  return a.address === b.address && a.length === b.length;
}
