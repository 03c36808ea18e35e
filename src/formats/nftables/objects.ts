// What a ruleset is made of, in nft's own words. Plain data: print.ts spells it, json.ts reads it back.
import type { Datum } from "./names.ts";
import type { RuleText } from "./rule-text.ts";

export type Family = "ip" | "ip6" | "inet" | "arp" | "bridge" | "netdev";
export type Hook = "prerouting" | "input" | "forward" | "output" | "postrouting" | "ingress" | "egress";
export type ChainType = "filter" | "nat" | "route";
/** A number, or a name that nft knows with an optional offset: `srcnat`, `dstnat - 10`. */
export type Priority = number | string;

export interface Table {
  readonly kind: "table";
  readonly family: Family;
  readonly name: string;
  /** At most 128 bytes, without `"` and line ends. */
  readonly comment?: string;
}

/** What makes a chain a base chain: where the kernel enters it. */
export interface BaseChain {
  readonly type: ChainType;
  readonly hook: Hook;
  readonly priority: Priority;
  readonly policy?: "accept" | "drop";
}

export interface Chain {
  readonly kind: "chain";
  readonly family: Family;
  readonly table: string;
  readonly name: string;
  readonly base?: BaseChain;
  readonly comment?: string;
}

export interface Rule {
  readonly kind: "rule";
  readonly family: Family;
  readonly table: string;
  readonly chain: string;
  readonly text: RuleText;
  readonly comment?: string;
}

/** A rule that is there, by the number the kernel gave it: what can be deleted. */
export interface RuleHandle {
  readonly kind: "rule-handle";
  readonly family: Family;
  readonly table: string;
  readonly chain: string;
  readonly handle: bigint;
}

/** Key (and data) types: names of nft types (`ipv4_addr`), or expressions (`ip daddr`) whose types they have. */
export type DataType = { readonly types: readonly string[] } | { readonly typeof: RuleText };

export interface NftSet {
  readonly kind: "set";
  readonly family: Family;
  readonly table: string;
  readonly name: string;
  readonly key: DataType;
  readonly flags?: readonly ("constant" | "interval" | "timeout" | "dynamic")[];
  readonly comment?: string;
}

export interface NftMap extends Omit<NftSet, "kind"> {
  readonly kind: "map";
  /** The type of the data; `"verdict"` makes it a verdict map. Said in the same way (types or typeof) as the key. */
  readonly data: DataType | "verdict";
}

export type Verdict =
  | { readonly verdict: "accept" | "drop" | "return" | "continue" }
  | { readonly verdict: "jump" | "goto"; readonly chain: string };

export interface Element {
  /** The parts of a concatenation, in order. */
  readonly key: readonly Datum[];
  /** Only in maps. */
  readonly value?: readonly Datum[] | Verdict;
  readonly comment?: string;
}

/** Elements of one set or map; many in one object, because nft takes them far faster so. */
export interface Elements {
  readonly kind: "element";
  readonly family: Family;
  readonly table: string;
  /** The name of the set or map. */
  readonly set: string;
  readonly elements: readonly Element[];
}

export type NftObject = Table | Chain | Rule | RuleHandle | NftSet | NftMap | Elements;

/** `destroy` removes what may not be there, and is spelt as add + delete, which nft before 1.0.8 understands too. */
export type Verb = "add" | "create" | "insert" | "flush" | "delete" | "destroy";

export interface Command {
  readonly verb: Verb;
  readonly object: NftObject;
}
