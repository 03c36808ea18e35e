import { NftFormatError } from "./errors.ts";
import { checkName, type Datum, printDatum, quoteComment } from "./names.ts";
import type {
  BaseChain,
  Chain,
  Command,
  DataType,
  Element,
  Elements,
  NftMap,
  NftObject,
  NftSet,
  Priority,
  Table,
  Verb,
  Verdict,
} from "./objects.ts";

/** One command, as `nft -f` reads it, with its line end. @throws {NftFormatError} for what nft could not read */
export function printCommand(verb: Verb, object: NftObject): string {
  switch (object.kind) {
    case "table":
      return printVerb(verb, `table ${object.family} ${checkName(object.name)}`, commentBlock(object));
    case "chain":
      return printVerb(verb, `chain ${inTable(object)} ${checkName(object.name)}`, chainBlock(object), { flush: true });
    case "set":
    case "map":
      return printVerb(verb, `${object.kind} ${inTable(object)} ${checkName(object.name)}`, setBlock(object), {
        needsBlock: true,
      });
    case "rule": {
      if (verb !== "add" && verb !== "insert") return refuse(verb, object);
      const comment = object.comment === undefined ? "" : ` comment ${quoteComment(object.comment)}`;
      return `${verb} rule ${inTable(object)} ${checkName(object.chain)} ${object.text}${comment}\n`;
    }
    case "rule-handle":
      if (verb !== "delete") return refuse(verb, object);
      return `delete rule ${inTable(object)} ${checkName(object.chain)} handle ${object.handle}\n`;
    case "element":
      if (verb !== "add" && verb !== "create" && verb !== "delete") return refuse(verb, object);
      return printElements(verb, object);
  }
}

/** Commands as the text of one transaction: libnftables sends one text as one batch, all or nothing. */
export function printTransaction(commands: readonly Command[]): string {
  return commands.map(({ verb, object }) => printCommand(verb, object)).join("");
}

/**
 * The commands that put a table with `contents` in the place of whatever table of that name there is. In one
 * transaction there is no moment without it: the kernel changes generations in one step.
 */
export function replaceTable(table: Table, contents: readonly NftObject[]): Command[] {
  return [
    { verb: "destroy", object: table },
    { verb: "add", object: table },
    ...contents.map((object): Command => ({ verb: "add", object })),
  ];
}

function printVerb(
  verb: Verb,
  target: string,
  block: string,
  { flush = false, needsBlock = false }: { flush?: boolean; needsBlock?: boolean } = {},
): string {
  switch (verb) {
    case "add":
    case "create":
      return `${verb} ${target}${block}\n`;
    case "flush":
    case "delete":
      return `${verb} ${target}\n`;
    case "destroy":
      return `add ${target}${needsBlock ? block : ""}\n${flush ? `flush ${target}\n` : ""}delete ${target}\n`;
    case "insert":
      throw new NftFormatError("command", `${verb} ${target}`, "only rules can be inserted");
  }
}

function refuse(verb: Verb, object: NftObject): never {
  throw new NftFormatError("command", `${verb} ${object.kind}`, "nft has no such command");
}

function inTable(object: Chain | Exclude<NftObject, Table>): string {
  return `${object.family} ${checkName(object.table)}`;
}

function braces(...statements: readonly (string | undefined)[]): string {
  const present = statements.filter((statement) => statement !== undefined);
  return present.length === 0 ? "" : ` { ${present.map((statement) => `${statement} ; `).join("")}}`;
}

function comment(object: { readonly comment?: string }): string | undefined {
  return object.comment === undefined ? undefined : `comment ${quoteComment(object.comment)}`;
}

function commentBlock(object: { readonly comment?: string }): string {
  return braces(comment(object));
}

function chainBlock(chain: Chain): string {
  return braces(...(chain.base ? baseStatements(chain.base) : []), comment(chain));
}

function baseStatements({ type, hook, priority, policy }: BaseChain): (string | undefined)[] {
  return [`type ${type} hook ${hook} priority ${printPriority(priority)}`, policy && `policy ${policy}`];
}

function printPriority(priority: Priority): string {
  if (typeof priority === "number" ? Number.isSafeInteger(priority) : PRIORITY.test(priority)) return String(priority);
  throw new NftFormatError(
    "priority",
    String(priority),
    "want a number, or a name such as srcnat with + or - a number",
  );
}

const PRIORITY = /^(raw|mangle|dstnat|filter|security|srcnat|out)( [+-] [0-9]+)?$/;

function setBlock(set: NftSet | NftMap): string {
  const flags = set.flags && set.flags.length > 0 ? `flags ${set.flags.join(",")}` : undefined;
  return braces(printTypes(set), flags, comment(set));
}

function printTypes(set: NftSet | NftMap): string {
  const key = printType(set.key);
  if (set.kind === "set") return `${key.word} ${key.type}`;
  const data = set.data === "verdict" ? { word: key.word, type: "verdict" } : printType(set.data);
  if (data.word !== key.word)
    throw new NftFormatError("map", set.name, "key and data must both be types or both be typeof");
  return `${key.word} ${key.type} : ${data.type}`;
}

function printType(type: DataType): { word: "type" | "typeof"; type: string } {
  if ("typeof" in type) return { word: "typeof", type: type.typeof.text };
  return { word: "type", type: type.types.map(checkType).join(" . ") };
}

function checkType(type: string): string {
  if (!/^[a-z][a-z0-9_]*$/.test(type)) throw new NftFormatError("type", type, "want a type such as ipv4_addr");
  return type;
}

function printElements(verb: "add" | "create" | "delete", { elements, set, ...object }: Elements): string {
  if (elements.length === 0) return "";
  const list = elements.map((element) => (verb === "delete" ? printKey(element.key) : printElement(element)));
  return `${verb} element ${inTable({ elements, set, ...object })} ${checkName(set)} { ${list.join(", ")} }\n`;
}

/** `10.96.0.10 . tcp . 80`: as nft spells a key, and good as the key of a Map too. */
export function printKey(key: readonly Datum[]): string {
  if (key.length === 0) throw new NftFormatError("key", "", "want at least one part");
  return key.map(printDatum).join(" . ");
}

/** One element with its comment and value. */
export function printElement({ key, value, comment }: Element): string {
  const text = comment === undefined ? printKey(key) : `${printKey(key)} comment ${quoteComment(comment)}`;
  if (value === undefined) return text;
  return `${text} : ${isVerdict(value) ? printVerdict(value) : printKey(value)}`;
}

function isVerdict(value: readonly Datum[] | Verdict): value is Verdict {
  return !Array.isArray(value);
}

function printVerdict(verdict: Verdict): string {
  return "chain" in verdict ? `${verdict.verdict} ${checkName(verdict.chain)}` : verdict.verdict;
}
