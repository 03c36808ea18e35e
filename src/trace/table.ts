import type { Hop } from "../model/index.ts";

export interface HopTableOptions {
  /** Terminal width; 120 unless said. */
  readonly columns?: number;
}

/** The hops as a text table: node, namespace, device, direction, packet (inner and outer), what changed, µs. */
export function hopTable(hops: readonly Hop[], options: HopTableOptions = {}): string {
  return `${hops.length} ${options.columns}`;
}
