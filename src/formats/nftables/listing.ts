// What a listing is made of: objects with the kernel's handles, and rules as statements.
import type { BaseChain, Family, Verdict } from "./objects.ts";
import type { Operand, Statement } from "./statements.ts";

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

/** A set, or a map when `dataTypes` is there. */
export interface ListedSet {
  readonly family: Family;
  readonly table: string;
  readonly name: string;
  readonly handle: number;
  readonly keyTypes: readonly string[];
  readonly dataTypes?: readonly string[];
  readonly flags: readonly string[];
  readonly elements: readonly ListedElement[];
}

export interface ListedElement {
  /** The parts of a concatenation, in order. */
  readonly key: readonly Operand[];
  readonly value?: readonly Operand[] | Verdict;
  readonly comment?: string;
}

export interface Ruleset {
  readonly tables: readonly ListedTable[];
  readonly chains: readonly ListedChain[];
  readonly rules: readonly ListedRule[];
  readonly sets: readonly ListedSet[];
}
