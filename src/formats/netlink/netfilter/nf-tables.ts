// nf_tables as the kernel announces it (include/uapi/linux/netfilter/nf_tables.h): which table changed, and the
// generation that each committed transaction begins. Only what a watch needs; rules themselves go through nft.
import { Attributes, fixedHeader } from "../attribute.ts";
import type { Message, Request } from "../message.ts";
import { NFGENMSG_BYTES, nfgenmsg } from "./nfnetlink.ts";

const NFNL_SUBSYS_NFTABLES = 0x0a;
const NFT_MSG_NEWGEN = 0x0a0f;
const NFT_MSG_GETGEN = 0x0a10;
const NFTA_GEN_ID = 1;
/** In every message that announces something attribute 1 is the table's name: NFTA_TABLE_NAME, NFTA_CHAIN_TABLE … */
const NFTA_TABLE = 1;

/** NFPROTO_… by nft's names. */
export const NFPROTO = { inet: 1, ip: 2, arp: 3, netdev: 5, bridge: 7, ip6: 10 } as const;

export type NfTablesEvent =
  /** Something in a table, or the table itself, came, changed or went. */
  | { readonly kind: "change"; readonly nfproto: number; readonly table: string }
  /** A transaction was committed; also the answer to getNfTablesGeneration(). */
  | { readonly kind: "generation"; readonly id: number };

/** undefined for what is no announcement of nf_tables. @throws {DecodeError} */
export function decodeNfTablesEvent({ type, payload }: Message): NfTablesEvent | undefined {
  if (type >> 8 !== NFNL_SUBSYS_NFTABLES) return undefined;
  const nfproto = fixedHeader(payload, NFGENMSG_BYTES, "nfgenmsg").getUint8(0);
  const attributes = new Attributes(payload, "nf_tables", NFGENMSG_BYTES);
  if (type !== NFT_MSG_NEWGEN) return { kind: "change", nfproto, table: attributes.text(NFTA_TABLE) ?? "" };
  const id = attributes.be32(NFTA_GEN_ID);
  return id === undefined ? undefined : { kind: "generation", id };
}

/** Asks which generation the ruleset is in: one more with each committed transaction. */
export function getNfTablesGeneration(): Request {
  return { type: NFT_MSG_GETGEN, flags: 0, payload: nfgenmsg(0) };
}
