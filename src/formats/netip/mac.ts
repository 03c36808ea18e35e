import { ParseError } from "./errors.ts";

declare const mac: unique symbol;
/** An Ethernet address in lower-case colon form, e.g. `0a:58:0a:f4:01:02`. */
export type MacAddress = string & { readonly [mac]: true };

export function parseMac(text: string): MacAddress {
  if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text)) throw new ParseError("MAC address", text);
  return text.toLowerCase() as MacAddress;
}

export function macToBytes(address: MacAddress): Uint8Array {
  const bytes = new Uint8Array(6);
  for (let i = 0; i < 6; i++) bytes[i] = Number.parseInt(address.slice(3 * i, 3 * i + 2), 16);
  return bytes;
}

const HEX = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, "0"));

/** @throws {ParseError} unless there are exactly six bytes */
export function macFromBytes(bytes: Uint8Array): MacAddress {
  if (bytes.length !== 6) throw new ParseError("MAC address of", `${bytes.length} bytes`);
  let text = "";
  for (const octet of bytes) text += (text === "" ? "" : ":") + (HEX[octet] ?? "");
  return text as MacAddress;
}

/** A locally administered unicast MAC from six random bytes: first octet `& 0xfe | 0x02`, as Flannel makes its VtepMAC. */
export function localMac(random: Uint8Array): MacAddress {
  return macFromBytes(random.map((octet, i) => (i === 0 ? (octet & 0xfe) | 0x02 : octet)));
}
