import {
  type IptablesRule,
  type IptablesTable,
  parseIptablesSave,
  printIptablesRestore,
  type RestoreLine,
  ruleMeaning,
} from "../../formats/iptables/index.ts";
import type { IpFamily } from "../../formats/netip/index.ts";
import {
  Iptables,
  IptablesError,
  isNotFound,
  legacyTables,
  lockFile,
  makeDirectories,
  type Nft,
} from "../../kernel/index.ts";
import { RECORDS_FOLDER } from "./records.ts";
import type { IptablesEntry, IptablesRules, IptablesTrace } from "./wanted.ts";

/** What shall go, and what shall be there afterwards. */
export interface IptablesChange {
  readonly traces: readonly IptablesTrace[];
  readonly wanted: readonly IptablesRules[];
}

const ATTEMPTS = 5;

/** One restore for each family. @throws {IptablesError} */
export async function changeIptables({ traces, wanted }: IptablesChange): Promise<void> {
  for (const family of familiesOf([...traces, ...wanted])) {
    const iptables = await Iptables.open(family);
    for (let attempt = 1; ; attempt++) {
      // Between listing and changing nobody of ours comes in; somebody else's chain is noticed by -N, and looked at again.
      using _lock = await lockIptables();
      const tables = parseIptablesSave(await iptables.save());
      const text = changeText(family, tables, { traces, wanted });
      if (text === "") break;
      try {
        await iptables.restore(text);
        break;
      } catch (e) {
        if (!(e instanceof IptablesError) || attempt === ATTEMPTS) throw e;
      }
    }
  }
}

async function lockIptables(): Promise<Disposable> {
  makeDirectories(RECORDS_FOLDER, 0o700);
  return lockFile(`${RECORDS_FOLDER}/.iptables.lock`, { holder: "another CNI call" });
}

function familiesOf(parts: readonly { readonly family: IpFamily }[]): IpFamily[] {
  return [...new Set(parts.map(({ family }) => family))];
}

/** Pure. "" when nothing is to change. */
function changeText(family: IpFamily, tables: readonly IptablesTable[], change: IptablesChange): string {
  const lines = new Map<string, RestoreLine[]>();
  const of = (table: string): RestoreLine[] => {
    const list = lines.get(table) ?? [];
    lines.set(table, list);
    return list;
  };
  for (const trace of change.traces) if (trace.family === family) of(trace.table).push(...removal(tables, trace));
  const made = new Set<string>();
  for (const rules of change.wanted)
    if (rules.family === family) of(rules.table).push(...addition(tables, rules, made));
  return printIptablesRestore([...lines].map(([table, list]) => ({ table, lines: unique(list) })));
}

/** Two traces may find one rule, which can be deleted only once. */
function unique(lines: readonly RestoreLine[]): RestoreLine[] {
  const seen = new Set<string>();
  return lines.filter((line) => {
    if (line.do !== "delete" && line.do !== "remove") return true;
    const key = JSON.stringify(line);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function removal(tables: readonly IptablesTable[], { table: name, isOwn, isOwnChain }: IptablesTrace): RestoreLine[] {
  const table = tables.find((each) => each.name === name);
  if (!table) return [];
  const chains = [...table.chains.keys()].filter(isOwnChain);
  return [
    ...table.rules
      .filter((rule) => isOwn(rule) && !chains.includes(rule.chain))
      .map(({ chain, words }): RestoreLine => ({ do: "delete", chain, words })),
    ...chains.map((chain): RestoreLine => ({ do: "flush", chain })),
    ...chains.map((chain): RestoreLine => ({ do: "remove", chain })),
  ];
}

/** @param made what the same restore has made already */
function addition(tables: readonly IptablesTable[], rules: IptablesRules, made: Set<string>): RestoreLine[] {
  const table = tables.find(({ name }) => name === rules.table);
  const isNew = (what: string): boolean => {
    const key = `${rules.table} ${what}`;
    if (made.has(key)) return false;
    made.add(key);
    return true;
  };
  const entry = ({ chain, words, isFirst }: IptablesEntry): RestoreLine => ({
    do: isFirst ? "insert" : "append",
    chain,
    words,
  });
  return [
    ...rules.shared.chains
      .filter((chain) => !table?.chains.has(chain) && isNew(chain))
      .map((chain): RestoreLine => ({ do: "create", chain })),
    ...rules.chains.map(({ name }): RestoreLine => ({ do: "renew", chain: name })),
    ...rules.shared.entries
      .filter((each) => !has(table, each) && isNew(`${each.chain} ${ruleMeaning(each.words)}`))
      .map(entry),
    ...rules.chains.flatMap(({ name, rules: own }) =>
      own.map((words): RestoreLine => ({ do: "append", chain: name, words })),
    ),
    ...rules.entries.map(entry),
  ];
}

function has(table: IptablesTable | undefined, { chain, words }: Pick<IptablesRule, "chain" | "words">): boolean {
  const meaning = ruleMeaning(words);
  return table?.rules.some((rule) => rule.chain === chain && ruleMeaning(rule.words) === meaning) ?? false;
}

/** What of `wanted` is not there, in words; undefined when all is. @throws {IptablesError} */
export async function whatIptablesLack(wanted: readonly IptablesRules[]): Promise<string | undefined> {
  const listings = await listingsFor(wanted);
  for (const rules of wanted) {
    const lacking = lackOf(listings.get(rules.family) ?? [], rules);
    if (lacking !== undefined) return lacking;
  }
  return undefined;
}

/** Those of whose rules some are not there. @throws {IptablesError} */
export async function whoLacksIptables<T extends { readonly iptables: readonly IptablesRules[] }>(
  all: readonly T[],
): Promise<T[]> {
  const listings = await listingsFor(all.flatMap(({ iptables }) => iptables));
  return all.filter(({ iptables }) => iptables.some((rules) => lackOf(listings.get(rules.family) ?? [], rules)));
}

async function listingsFor(wanted: readonly IptablesRules[]): Promise<Map<IpFamily, readonly IptablesTable[]>> {
  const listings = new Map<IpFamily, readonly IptablesTable[]>();
  for (const family of familiesOf(wanted))
    listings.set(family, parseIptablesSave(await (await Iptables.open(family)).save()));
  return listings;
}

/** Pure. */
function lackOf(tables: readonly IptablesTable[], rules: IptablesRules): string | undefined {
  const where = `table ${rules.table} of ${rules.family === 4 ? "iptables" : "ip6tables"}`;
  const table = tables.find(({ name }) => name === rules.table);
  for (const chain of [...rules.shared.chains, ...rules.chains.map(({ name }) => name)])
    if (!table?.chains.has(chain)) return `chain ${chain} in ${where}`;
  const entries = [
    ...rules.shared.entries,
    ...rules.entries,
    ...rules.chains.flatMap(({ name, rules: own }) => own.map((words) => ({ chain: name, words }))),
  ];
  const missing = entries.find((entry) => !has(table, entry));
  return missing && `a rule in chain ${missing.chain} of ${where}`;
}

/** Those traces that may have something to find. Asking the kernel is cheap, where listing takes two programs. */
export function mayBeThere(nft: Nft | undefined, traces: readonly IptablesTrace[]): IptablesTrace[] {
  return traces.filter(({ family, table, landmark }) => {
    if (legacyTables(family).includes(table) || !nft) return true;
    try {
      nft.list(`list chain ${family === 4 ? "ip" : "ip6"} ${table} ${landmark}`);
      return true;
    } catch (e) {
      return !isNotFound(e);
    }
  });
}
