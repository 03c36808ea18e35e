import type { Layer } from "./layer.ts";

/** Takes a frame apart as far as it goes. Never throws: what cannot be read ends in a `malformed` layer. */
export function dissect(frame: Uint8Array, start: "ethernet" | "ipv4" | "ipv6" = "ethernet"): Layer[] {
  throw new Error(`dissect(${frame.length}, ${start}): not written yet`);
}
