import { type IpAddress, ipToBytes, maskPrefix, parseIpv4, parsePrefix } from "../../../formats/netip/index.ts";

/** Which node has an address: the longest subnet that covers it. One look for each length of subnet there is, usually one. */
export class PeerTable {
  /** The longest first; keys and masks are signed, as V8 holds those in place. */
  readonly #lengths: { readonly mask: number; readonly peers: Map<number, number> }[] = [];

  constructor(peers: readonly (readonly [subnet: string, address: string])[]) {
    const byLength = new Map<number, Map<number, number>>();
    for (const [subnet, address] of peers) {
      const { address: network, length } = maskPrefix(parsePrefix(subnet));
      const known = byLength.get(length) ?? new Map<number, number>();
      byLength.set(length, known.set(bigEndian(network), littleEndian(parseIpv4(address))));
    }
    for (const [length, known] of [...byLength].sort(([a], [b]) => b - a))
      this.#lengths.push({ mask: maskOf(length), peers: known });
  }

  /** @param destination an address read big-endian @returns the node's address, to be read little-endian; -1: none */
  lookUp(destination: number): number {
    for (const { mask, peers } of this.#lengths) {
      const node = peers.get(destination & mask);
      if (node !== undefined) return node;
    }
    return -1;
  }
}

/** As DataView.getInt32() reads it out of a packet. */
export function bigEndian(ip: IpAddress): number {
  return new DataView(ipToBytes(ip).buffer).getInt32(0);
}

/** As DataView.getUint32(at, true) reads it out of a packet: what is only copied needs no other order. */
export function littleEndian(ip: IpAddress): number {
  return new DataView(ipToBytes(ip).buffer).getUint32(0, true);
}

export function maskOf(length: number): number {
  return length === 0 ? 0 : -1 << (32 - length);
}
