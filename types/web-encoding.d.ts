// The two WHATWG Encoding classes that every JavaScript runtime has and no ECMAScript lib declares.
// Pure folders compile with "types": [], so they get these and nothing else of a platform.
declare class TextEncoder {
  encode(text?: string): Uint8Array<ArrayBuffer>;
}
declare class TextDecoder {
  constructor(label?: "utf-8" | "utf8", options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(bytes?: Uint8Array): string;
}
