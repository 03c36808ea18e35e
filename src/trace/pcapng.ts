import type { Hop } from "../model/index.ts";

/** One file, one interface block per hop, a comment a packet: `hop 4/11 …`. Several observations may share a file. */
export function toPcapng(traces: readonly { readonly title: string; readonly hops: readonly Hop[] }[]): Uint8Array {
  return new Uint8Array(traces.length);
}
