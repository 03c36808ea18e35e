// nf_tables as the kernel announces it (include/uapi/linux/netfilter/nf_tables.h): which table changed, and the
// generation that each committed transaction begins; and the handles and comments of a table's rules, for which nft
// would print the whole of each rule. What rules say goes through nft.

import { Attributes, AttributeWriter, fixedHeader } from "../attribute.ts";
import type { Message, Request } from "../message.ts";
import { NFGENMSG_BYTES, nfgenmsg } from "./nfnetlink.ts";

const NFNL_SUBSYS_NFTABLES = 0x0a;
const NFT_MSG_NEWRULE = 0x0a06;
const NFT_MSG_GETRULE = 0x0a07;
const NLM_F_DUMP = 0x300;
const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_HANDLE = 3;
const NFTA_RULE_USERDATA = 7;
/** The kernel keeps a rule's user data as it got it: libnftnl's { __u8 type; __u8 length; value }, 0 being the comment. */
const NFTNL_UDATA_RULE_COMMENT = 0;
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

/** One rule, as far as it can be found and deleted again. */
export interface RuleMark {
  readonly chain: string;
  readonly handle: bigint;
  readonly comment?: string;
}

export function dumpRules(family: keyof typeof NFPROTO, table: string): Request {
  const payload = new AttributeWriter(nfgenmsg(NFPROTO[family])).text(NFTA_RULE_TABLE, table).finish();
  return { type: NFT_MSG_GETRULE, flags: NLM_F_DUMP, payload };
}

/** undefined for what is no rule. @throws {DecodeError} */
export function decodeRule({ type, payload }: Message): RuleMark | undefined {
  if (type !== NFT_MSG_NEWRULE) return undefined;
  fixedHeader(payload, NFGENMSG_BYTES, "nfgenmsg");
  const attributes = new Attributes(payload, "nft_rule", NFGENMSG_BYTES);
  const chain = attributes.text(NFTA_RULE_CHAIN);
  const handle = attributes.be64(NFTA_RULE_HANDLE);
  if (chain === undefined || handle === undefined) return undefined;
  const comment = readComment(attributes.bytes(NFTA_RULE_USERDATA));
  return { chain, handle, ...(comment === undefined ? {} : { comment }) };
}

function readComment(userData: Uint8Array | undefined): string | undefined {
  if (userData === undefined) return undefined;
  for (let at = 0; at + 2 <= userData.length; ) {
    const [type = 0, length = 0] = userData.subarray(at, at + 2);
    const value = userData.subarray(at + 2, at + 2 + length);
    if (type === NFTNL_UDATA_RULE_COMMENT) {
      const end = value.indexOf(0);
      return new TextDecoder().decode(end < 0 ? value : value.subarray(0, end));
    }
    at += 2 + length;
  }
  return undefined;
}
