/** How to walk a payload: its fixed header, and which attributes hold attributes, behind a header of how many bytes. */
interface Shape {
  readonly name: string;
  readonly headerLength: number;
  readonly nests: (path: string, value: Uint8Array) => number | undefined;
}

/**
 * A payload as `path of attribute types: hex`, whatever the order; of several with one type the second is `8.0#2`. Read by
 * a parser that shares nothing with ours.
 */
export function attributeTree(payload: Uint8Array, { name, headerLength, nests }: Shape): Map<string, string> {
  const found = new Map<string, string>();
  const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const walk = (bytes: Uint8Array, path: string, header: number): void => {
    found.set(path, hex(bytes.subarray(0, header)));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = header; at < bytes.length; at += (view.getUint16(at, true) + 3) & ~3) {
      const type = `${path}.${view.getUint16(at + 2, true) & 0x3fff}`;
      let child = type;
      for (let n = 2; found.has(child); n++) child = `${type}#${n}`;
      const value = bytes.subarray(at + 4, at + view.getUint16(at, true));
      const nest = nests(child.replaceAll(/#\d+/g, ""), value);
      if (nest === undefined) found.set(child, hex(value));
      else walk(value, child, nest);
    }
  };
  walk(payload, name, headerLength);
  return new Map([...found].sort());
}
