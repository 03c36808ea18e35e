import type { RuleMark } from "../../formats/netlink/index.ts";
import {
  type Command,
  type Family,
  type NftObject,
  printTransaction,
  type Rule,
} from "../../formats/nftables/index.ts";
import { isNotFound, type Nft } from "../../kernel/index.ts";
import type { NftRules, NftTrace } from "./wanted.ts";

/** The text that makes the rules; those of the attachment come on top of what there is. */
export function additionText(wanted: readonly NftRules[]): string {
  return printTransaction(wanted.flatMap(commandsOf));
}

function commandsOf({ table, shared, chains, rules, isFirst }: NftRules): Command[] {
  const add = (object: NftObject): Command => ({ verb: "add", object });
  const flush = (chain: string): Command => ({
    verb: "flush",
    object: { kind: "chain", family: table.family, table: table.name, name: chain },
  });
  return [
    add(table),
    ...shared.chains.map(add),
    ...chains.map(add),
    ...[...new Set(shared.rules.map(({ chain }) => chain))].map(flush),
    ...chains.map(({ name }) => flush(name)),
    ...shared.rules.map(add),
    ...rules.map((object): Command => ({ verb: isFirst ? "insert" : "add", object })),
  ];
}

/** The text that deletes what `traces` find now; "" when that is nothing. */
export function removalText(nft: Nft, traces: readonly NftTrace[]): string {
  const byTable = new Map<string, NftTrace[]>();
  for (const trace of traces) {
    const key = `${trace.family} ${trace.table}`;
    byTable.set(key, [...(byTable.get(key) ?? []), trace]);
  }
  return printTransaction([...byTable.values()].flatMap((ofTable) => removalOf(nft, ofTable)));
}

function removalOf(nft: Nft, traces: readonly NftTrace[]): Command[] {
  const [first] = traces;
  if (!first) return [];
  const { family, table } = first;
  const isOwnChain = (chain: string): boolean => traces.some((trace) => trace.isOwnChain?.(chain));
  const marks = nft.ruleMarks(family, table);
  const own = marks.filter((mark) => traces.some(({ isOwn }) => isOwn(mark)) && !isOwnChain(mark.chain));
  const chains = [...new Set(marks.map(({ chain }) => chain))].filter(isOwnChain);
  const chain = (verb: "flush" | "delete", name: string): Command => ({
    verb,
    object: { kind: "chain", family, table, name },
  });
  return [
    ...own.map(
      ({ chain, handle }): Command => ({
        verb: "delete",
        object: { kind: "rule-handle", family, table, chain, handle },
      }),
    ),
    // A chain may not be deleted while another of them jumps there.
    ...chains.map((name) => chain("flush", name)),
    ...chains.map((name) => chain("delete", name)),
  ];
}

/** The rules of a table: Nft.ruleMarks(), or what it gave a moment ago. */
export type Marks = (family: Family, table: string) => readonly RuleMark[];

export function remembered(nft: Nft): Marks {
  const tables = new Map<string, readonly RuleMark[]>();
  return (family, table) => {
    const key = `${family} ${table}`;
    const marks = tables.get(key) ?? nft.ruleMarks(family, table);
    tables.set(key, marks);
    return marks;
  };
}

/** What of `wanted` is not there, in words; undefined when all is. */
export function whatIsMissing(
  marksOf: Marks,
  wanted: readonly NftRules[],
  traces: readonly NftTrace[],
): string | undefined {
  for (const { table, shared, rules } of wanted) {
    const marks = marksOf(table.family, table.name);
    const trace = traces.find((each) => each.family === table.family && each.table === table.name);
    const count = (chain: string, isCounted: (comment: string | undefined) => boolean): number =>
      marks.filter((mark) => mark.chain === chain && isCounted(mark.comment)).length;
    for (const [chain, expected] of perChain(rules))
      if (marks.filter((mark) => mark.chain === chain && isOwnRule(trace, mark)).length < expected)
        return `a rule in chain ${chain} of table ${table.family} ${table.name}`;
    for (const [chain, expected] of perChain(shared.rules))
      if (count(chain, (comment) => comment === undefined) < expected)
        return `the way to its rules in chain ${chain} of table ${table.family} ${table.name}`;
  }
  return undefined;
}

function isOwnRule(trace: NftTrace | undefined, mark: Parameters<NftTrace["isOwn"]>[0]): boolean {
  return trace !== undefined && (trace.isOwn(mark) || (trace.isOwnChain?.(mark.chain) ?? false));
}

function perChain(rules: readonly Rule[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { chain } of rules) counts.set(chain, (counts.get(chain) ?? 0) + 1);
  return counts;
}

const ATTEMPTS = 10;

/** Applies the text that `make` gives; again when a rule that it names by its handle went meanwhile. */
export function change(nft: Nft, make: () => string): void {
  for (let attempt = 1; ; attempt++) {
    const text = make();
    if (text === "") return;
    try {
      nft.apply(text);
      return;
    } catch (e) {
      if (!isNotFound(e) || attempt === ATTEMPTS) throw e;
    }
  }
}
