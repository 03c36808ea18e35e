/** The first counters of `struct rtnl_link_stats64`: those of `ip -s link`. */
export interface LinkStats {
  readonly rxPackets: bigint;
  readonly txPackets: bigint;
  readonly rxBytes: bigint;
  readonly txBytes: bigint;
  readonly rxErrors: bigint;
  readonly txErrors: bigint;
  readonly rxDropped: bigint;
  readonly txDropped: bigint;
}

/** Newer kernels append counters, so more bytes are welcome; a structure too short to hold ours is passed over. */
export function readLinkStats(bytes: Uint8Array | undefined): LinkStats | undefined {
  if (bytes === undefined || bytes.length < 64) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const counter = (i: number): bigint => view.getBigUint64(8 * i, true);
  return {
    rxPackets: counter(0),
    txPackets: counter(1),
    rxBytes: counter(2),
    txBytes: counter(3),
    rxErrors: counter(4),
    txErrors: counter(5),
    rxDropped: counter(6),
    txDropped: counter(7),
  };
}
