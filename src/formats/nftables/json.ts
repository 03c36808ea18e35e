import type { BaseChain, Element, Family } from "./objects.ts";

/** What `nft --json list …` prints, parsed (libnftables-json(5)). */
export interface NftJson {
  readonly nftables: readonly unknown[];
}

export interface ListedTable {
  readonly family: Family;
  readonly name: string;
  readonly handle: number;
  readonly comment?: string;
}
export interface ListedChain {
  readonly family: Family;
  readonly table: string;
  readonly name: string;
  readonly handle: number;
  readonly base?: BaseChain & { readonly priority: number };
}
export interface ListedRule {
  readonly family: Family;
  readonly table: string;
  readonly chain: string;
  readonly handle: number;
  readonly comment?: string;
  readonly statements: readonly Statement[];
}
/** A set, or a map when `data` is there. */
export interface ListedSet {
  readonly family: Family;
  readonly table: string;
  readonly name: string;
  readonly handle: number;
  readonly keyTypes: readonly string[];
  readonly dataTypes?: readonly string[];
  readonly flags: readonly string[];
  readonly elements: readonly Element[];
}

/** One statement of a rule. What this parser does not know stays as nft gave it, in `raw`. */
export type Statement =
  | { readonly kind: "match"; readonly op: string; readonly left: Operand; readonly right: Operand }
  | { readonly kind: "accept" | "drop" | "return" | "continue" }
  | { readonly kind: "jump" | "goto"; readonly chain: string }
  | { readonly kind: "vmap"; readonly key: Operand; readonly data: Operand }
  | { readonly kind: "snat" | "dnat"; readonly address?: Operand; readonly port?: Operand }
  | { readonly kind: "masquerade"; readonly flags: readonly string[] }
  | { readonly kind: "reject"; readonly type?: string; readonly expression?: string }
  | { readonly kind: "mangle"; readonly key: Operand; readonly value: Operand }
  | { readonly kind: "counter"; readonly packets: number; readonly bytes: number }
  | { readonly kind: "raw"; readonly json: unknown };

export type Operand =
  | { readonly kind: "value"; readonly value: string | number }
  | { readonly kind: "prefix"; readonly address: string; readonly length: number }
  | { readonly kind: "range"; readonly from: Operand; readonly to: Operand }
  | { readonly kind: "list"; readonly items: readonly Operand[] }
  | { readonly kind: "named-set"; readonly name: string }
  | { readonly kind: "concat"; readonly parts: readonly Operand[] }
  | { readonly kind: "payload"; readonly protocol: string; readonly field: string }
  | { readonly kind: "meta"; readonly key: string }
  | { readonly kind: "ct"; readonly key: string; readonly direction?: string }
  | { readonly kind: "fib"; readonly result: string; readonly flags: readonly string[] }
  | { readonly kind: "numgen"; readonly mode: string; readonly modulus: number; readonly offset: number }
  | { readonly kind: "jhash"; readonly modulus: number; readonly seed?: number; readonly of: Operand }
  | { readonly kind: "bitwise"; readonly op: "&" | "|" | "^" | "<<" | ">>"; readonly operands: readonly Operand[] }
  | { readonly kind: "map"; readonly key: Operand; readonly data: Operand }
  | { readonly kind: "raw"; readonly json: unknown };

export interface Ruleset {
  readonly tables: readonly ListedTable[];
  readonly chains: readonly ListedChain[];
  readonly rules: readonly ListedRule[];
  readonly sets: readonly ListedSet[];
}

/** @throws {NftFormatError} when it is not an nft listing at all; unknown kinds of objects are left out */
export function parseRuleset(json: unknown): Ruleset {
  throw new Error(`not yet: ${typeof json}`);
}
