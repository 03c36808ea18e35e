// A Curve25519 or preshared key in base64, as wg(8) and Flannel's leases write it.
declare const brand: unique symbol;
/** 32 bytes in base64: 44 characters. */
export type WireGuardKey = string & { readonly [brand]: "WireGuardKey" };

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const KEY_BYTES = 32;

/** All zero: no preshared key, no private key. */
export const NO_KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" as WireGuardKey;

/** @throws {RangeError}, which does not repeat the text: it may be a secret */
export function parseKey(text: string): WireGuardKey {
  // The last character holds four bits of the key; a decoder that ignored the other two would take four texts for one key.
  if (!/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/.test(text))
    throw new RangeError(
      `not a WireGuard key, which is 32 bytes in base64 (44 characters), but ${text.length} characters`,
    );
  return text as WireGuardKey;
}

export function keyToBytes(key: WireGuardKey): Uint8Array {
  const bytes = new Uint8Array(KEY_BYTES);
  let [bits, held, at] = [0, 0, 0];
  for (const character of key.slice(0, -1)) {
    bits = (bits << 6) | ALPHABET.indexOf(character);
    held += 6;
    if (held < 8 || at === KEY_BYTES) continue;
    held -= 8;
    bytes[at++] = (bits >> held) & 0xff;
  }
  return bytes;
}

/** @throws {RangeError} unless there are exactly 32 bytes */
export function keyFromBytes(bytes: Uint8Array): WireGuardKey {
  if (bytes.length !== KEY_BYTES) throw new RangeError(`a WireGuard key of ${bytes.length} bytes`);
  let [text, bits, held] = ["", 0, 0];
  for (const byte of [...bytes, 0]) {
    bits = (bits << 8) | byte;
    for (held += 8; held >= 6; held -= 6) text += ALPHABET[(bits >> (held - 6)) & 0x3f];
    bits &= 0xff;
  }
  return `${text.slice(0, 43)}=` as WireGuardKey;
}
