// nf_tables as the kernel announces it (include/uapi/linux/netfilter/nf_tables.h): which table changed, and the
// generation that each committed transaction begins. Only what a watch needs; rules themselves go through nft.

/** NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_… */
export const NFT_MSG = { NEWGEN: 0x0a0f, GETGEN: 0x0a10 } as const;
const SUBSYSTEM = 0x0a;

/** NFPROTO_… by nft's names. */
export const NFPROTO = { inet: 1, ip: 2, arp: 3, netdev: 5, bridge: 7, ip6: 10 } as const;

export type NfTablesEvent =
  /** Something in a table, or the table itself, came, changed or went. */
  | { readonly kind: "change"; readonly nfproto: number; readonly table: string }
  /** A transaction was committed; also the answer to GETGEN. */
  | { readonly kind: "generation"; readonly id: number };

const NLMSG_HEADER_BYTES = 16;
const NFGENMSG_BYTES = 4;
const ATTRIBUTE_HEADER_BYTES = 4;

/**
 * The events of one datagram. In every nf_tables message that announces something the first attribute's number, 1, is
 * the table's name (NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE …). A message that makes no sense ends the
 * datagram; other subsystems' messages are passed over.
 */
export function decodeNfTablesEvents(datagram: Uint8Array): NfTablesEvent[] {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const events: NfTablesEvent[] = [];
  for (let at = 0; at + NLMSG_HEADER_BYTES <= datagram.length; ) {
    const length = view.getUint32(at, true);
    if (length < NLMSG_HEADER_BYTES || at + length > datagram.length) break;
    const type = view.getUint16(at + 4, true);
    const payload = datagram.subarray(at + NLMSG_HEADER_BYTES, at + length);
    if (type >> 8 === SUBSYSTEM) {
      const event = decodeEvent(type, payload);
      if (event) events.push(event);
    }
    at += (length + 3) & ~3;
  }
  return events;
}

function decodeEvent(type: number, payload: Uint8Array): NfTablesEvent | undefined {
  const first = firstAttribute(payload);
  if (!first) return undefined;
  if (type !== NFT_MSG.NEWGEN)
    return { kind: "change", nfproto: payload[0] ?? 0, table: new TextDecoder().decode(untilZero(first)) };
  if (first.length < 4) return undefined;
  return { kind: "generation", id: new DataView(first.buffer, first.byteOffset, 4).getUint32(0) };
}

/** The value of the attribute of type 1. */
function firstAttribute(payload: Uint8Array): Uint8Array | undefined {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  for (let at = NFGENMSG_BYTES; at + ATTRIBUTE_HEADER_BYTES <= payload.length; ) {
    const length = view.getUint16(at, true);
    if (length < ATTRIBUTE_HEADER_BYTES || at + length > payload.length) return undefined;
    if ((view.getUint16(at + 2, true) & 0x3fff) === 1)
      return payload.subarray(at + ATTRIBUTE_HEADER_BYTES, at + length);
    at += (length + 3) & ~3;
  }
  return undefined;
}

function untilZero(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

/** NFT_MSG_GETGEN as a whole datagram: the kernel answers with NEWGEN. */
export function encodeGetGeneration(): Uint8Array {
  const bytes = new Uint8Array(NLMSG_HEADER_BYTES + NFGENMSG_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, NFT_MSG.GETGEN, true);
  view.setUint16(6, 1 /* NLM_F_REQUEST */, true);
  return bytes;
}
