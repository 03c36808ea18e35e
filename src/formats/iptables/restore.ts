import { IptablesFormatError } from "./errors.ts";
import { joinWords } from "./words.ts";

/** One line of a table for `iptables-restore --noflush`. */
export type RestoreLine =
  /** Makes the chain, or empties the one there is. */
  | { readonly do: "renew"; readonly chain: string }
  /** Makes the chain; the whole table fails when there is one. */
  | { readonly do: "create"; readonly chain: string }
  /** `insert` is before all rules that are there. */
  | { readonly do: "append" | "insert" | "delete"; readonly chain: string; readonly words: readonly string[] }
  /** The chain must be empty, and nothing may lead to it. */
  | { readonly do: "flush" | "remove"; readonly chain: string };

export interface RestoreTable {
  readonly table: string;
  /** Each table changes as a whole: from what it was to what it is after its last line. */
  readonly lines: readonly RestoreLine[];
}

/** The text of one restore; "" when there is nothing to change. @throws {IptablesFormatError} */
export function printIptablesRestore(tables: readonly RestoreTable[]): string {
  return tables
    .filter(({ lines }) => lines.length > 0)
    .map(({ table, lines }) => `*${checkName(table)}\n${lines.map(printLine).join("")}COMMIT\n`)
    .join("");
}

function printLine(line: RestoreLine): string {
  const chain = checkName(line.chain);
  switch (line.do) {
    case "renew":
      return `:${chain} - [0:0]\n`;
    case "create":
      return `-N ${chain}\n`;
    case "insert":
      return `-I ${chain} ${joinWords(line.words)}\n`;
    case "append":
      return `-A ${chain} ${joinWords(line.words)}\n`;
    case "delete":
      return `-D ${chain} ${joinWords(line.words)}\n`;
    case "flush":
      return `-F ${chain}\n`;
    case "remove":
      return `-X ${chain}\n`;
  }
}

/** Names of tables and chains: at most 28 characters (XT_EXTENSION_MAXNAMELEN less the end), none that has a meaning. */
function checkName(name: string): string {
  if (/^[\w.:+=/@%~][\w.:+=/@%~-]{0,27}$/.test(name)) return name;
  throw new IptablesFormatError("print the name", name, "want up to 28 plain characters");
}
