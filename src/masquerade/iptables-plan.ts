import {
  type IptablesRule,
  type IptablesTable,
  parseIptablesSave,
  printIptablesRestore,
  type RestoreLine,
  ruleComment,
  ruleMeaning,
  ruleTarget,
} from "../formats/iptables/index.ts";
import { FLANNEL_CHAINS, type FlannelChain, jumpTo, type WantedChain } from "./iptables-rules.ts";

/** What a rule of ours, or one that leads to ours, cannot be without. */
const MENTIONS = FLANNEL_CHAINS.flatMap(({ chain, comment }) => [chain, comment]);

/**
 * The iptables-restore text that makes what iptables-save listed into what is wanted; "" when it is so. Rule by rule: a
 * missing, doubled, foreign or misplaced rule in our chains, a jump that is missing or doubled, and chains that are not
 * wanted. Nothing else is touched. Pure. @throws {IptablesFormatError} when the listing is none
 */
export function planRestore(listing: string, wanted: readonly WantedChain[]): string {
  const tables = parseIptablesSave(listing, MENTIONS);
  return printIptablesRestore(
    FLANNEL_CHAINS.map((own) => {
      const table = tables.find(({ name }) => name === own.table) ?? { name: own.table, chains: new Map(), rules: [] };
      const want = wanted.find(({ chain }) => chain === own.chain);
      return { table: own.table, lines: want ? linesToHave(table, want) : linesToRemove(table, own) };
    }),
  );
}

/** New before old, though it makes no difference: a table changes as a whole. */
function linesToHave(table: IptablesTable, want: WantedChain): RestoreLine[] {
  const has = table.rules.filter(({ chain }) => chain === want.chain).map(({ words }) => ruleMeaning(words));
  const shall = want.rules.map(ruleMeaning);
  const isAsWanted =
    table.chains.has(want.chain) && has.length === shall.length && has.every((rule, i) => rule === shall[i]);
  const jump = jumpTo(want);
  const inParent = ownInParent(table, want);
  const isJump = ({ words }: IptablesRule): boolean => ruleMeaning(words) === ruleMeaning(jump);
  // Deleting by its text takes the first of several, so that the last stays.
  const extra = [...inParent.filter(isJump).slice(1), ...inParent.filter((rule) => !isJump(rule))];
  return [
    ...(isAsWanted
      ? []
      : [
          { do: "renew" as const, chain: want.chain },
          ...want.rules.map((words) => ({ do: "append" as const, chain: want.chain, words })),
        ]),
    ...(inParent.some(isJump) ? [] : [{ do: "append" as const, chain: want.parent, words: jump }]),
    ...extra.map(deletion),
  ];
}

function linesToRemove(table: IptablesTable, own: FlannelChain): RestoreLine[] {
  // A chain that something leads to cannot be removed.
  const leading = table.rules.filter((rule) => rule.chain !== own.chain && ruleTarget(rule.words) === own.chain);
  const others = ownInParent(table, own).filter((rule) => !leading.includes(rule));
  return [
    ...[...leading, ...others].map(deletion),
    ...(table.chains.has(own.chain)
      ? [
          { do: "flush" as const, chain: own.chain },
          { do: "remove" as const, chain: own.chain },
        ]
      : []),
  ];
}

/** The jump, in any form; and rules with our comment, which Flannel before v0.21 had there instead of in a chain. */
function ownInParent(table: IptablesTable, { parent, chain, comment }: FlannelChain): IptablesRule[] {
  return table.rules.filter(
    (rule) => rule.chain === parent && (ruleTarget(rule.words) === chain || ruleComment(rule.words) === comment),
  );
}

function deletion({ chain, words }: IptablesRule): RestoreLine {
  return { do: "delete", chain, words };
}
