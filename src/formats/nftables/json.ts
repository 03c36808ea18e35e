import { NftFormatError } from "./errors.ts";
import type { ListedChain, ListedElement, ListedRule, ListedSet, ListedTable, Ruleset } from "./listing.ts";
import type { BaseChain, ChainType, Family, Hook } from "./objects.ts";
import { asList, isJsonObject, type Operand, parseOperand, parseStatement, parseVerdict } from "./statements.ts";

/** What `nft --json list …` prints, parsed (libnftables-json(5)). */
export interface NftJson {
  readonly nftables: readonly unknown[];
}

type Json = Readonly<Record<string, unknown>>;

/** @throws {NftFormatError} when it is not an nft listing at all; kinds of objects not known here are left out */
export function parseRuleset(json: unknown): Ruleset {
  if (!isJsonObject(json) || !Array.isArray(json.nftables)) throw bad("listing", json, 'want {"nftables": [ … ]}');
  const tables: ListedTable[] = [];
  const chains: ListedChain[] = [];
  const rules: ListedRule[] = [];
  const sets: ListedSet[] = [];
  for (const entry of json.nftables) {
    if (!isJsonObject(entry)) throw bad("listing", entry, "want objects such as table or chain");
    if (isJsonObject(entry.table)) tables.push(parseTable(entry.table));
    else if (isJsonObject(entry.chain)) chains.push(parseChain(entry.chain));
    else if (isJsonObject(entry.rule)) rules.push(parseRule(entry.rule));
    else if (isJsonObject(entry.set)) sets.push(parseSet(entry.set));
    else if (isJsonObject(entry.map)) sets.push(parseSet(entry.map));
  }
  return { tables, chains, rules, sets };
}

function bad(what: string, json: unknown, why: string): NftFormatError {
  return new NftFormatError(what, JSON.stringify(json)?.slice(0, 200) ?? String(json), why);
}

function text(json: Json, field: string): string {
  const value = json[field];
  if (typeof value !== "string") throw bad("listing", json, `want a string in "${field}"`);
  return value;
}

function number(json: Json, field: string): number {
  const value = json[field];
  if (typeof value !== "number") throw bad("listing", json, `want a number in "${field}"`);
  return value;
}

function commentOf(json: Json): { comment?: string } {
  return typeof json.comment === "string" ? { comment: json.comment } : {};
}

/** Names that nft prints are the kernel's; they are not checked again. */
function family(json: Json): Family {
  return text(json, "family") as Family;
}

function parseTable(json: Json): ListedTable {
  return { family: family(json), name: text(json, "name"), handle: number(json, "handle"), ...commentOf(json) };
}

function parseChain(json: Json): ListedChain {
  const chain = {
    family: family(json),
    table: text(json, "table"),
    name: text(json, "name"),
    handle: number(json, "handle"),
  };
  if (json.hook === undefined) return chain;
  const base: BaseChain & { priority: number } = {
    type: text(json, "type") as ChainType,
    hook: text(json, "hook") as Hook,
    priority: number(json, "prio"),
    ...(json.policy === "accept" || json.policy === "drop" ? { policy: json.policy } : {}),
  };
  return { ...chain, base };
}

function parseRule(json: Json): ListedRule {
  return {
    family: family(json),
    table: text(json, "table"),
    chain: text(json, "chain"),
    handle: number(json, "handle"),
    ...commentOf(json),
    statements: asList(json.expr).map(parseStatement),
  };
}

function parseSet(json: Json): ListedSet {
  const isMap = typeof json.map === "string";
  return {
    family: family(json),
    table: text(json, "table"),
    name: text(json, "name"),
    handle: number(json, "handle"),
    keyTypes: asList(json.type).map(String),
    // nft joins the key's types in a list but the data's in a text: "ipv4_addr . inet_service".
    ...(isMap ? { dataTypes: String(json.map).split(" . ") } : {}),
    flags: asList(json.flags).map(String),
    elements: asList(json.elem).map((element) => (isMap ? parseMapElement(element) : parseElement(element))),
  };
}

/** `value`, or `{"elem": {"val": value, "comment": …}}`. */
function parseElement(json: unknown): ListedElement {
  if (isJsonObject(json) && isJsonObject(json.elem)) {
    const { val, ...rest } = json.elem;
    return { key: parseParts(val), ...commentOf(rest) };
  }
  return { key: parseParts(json) };
}

function parseMapElement(json: unknown): ListedElement {
  if (!Array.isArray(json) || json.length !== 2) return parseElement(json);
  return { ...parseElement(json[0]), value: parseVerdict(json[1]) ?? parseParts(json[1]) };
}

function parseParts(json: unknown): readonly Operand[] {
  const operand = parseOperand(json);
  return operand.kind === "concat" ? operand.parts : [operand];
}
