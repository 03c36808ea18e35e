import { IptablesFormatError } from "./errors.ts";
import { isOpen, splitWords } from "./words.ts";

export interface IptablesRule {
  readonly chain: string;
  /** What stands after `-A CHAIN`: `-s`, `10.5.0.0/16`, `-j`, `ACCEPT`. */
  readonly words: readonly string[];
}

export interface IptablesTable {
  /** `nat` */
  readonly name: string;
  /** The policy of each chain; `-` is one that somebody made. */
  readonly chains: ReadonlyMap<string, string>;
  /** Of all chains, in order within each. */
  readonly rules: readonly IptablesRule[];
}

/**
 * Reads a listing. A node may have a hundred thousand rules: with `mentions`, those that hold none of these texts are
 * left out without being taken apart. @throws {IptablesFormatError} when it is no listing, or only a part of one
 */
export function parseIptablesSave(text: string, mentions?: readonly string[]): IptablesTable[] {
  const tables: IptablesTable[] = [];
  let open: { name: string; chains: Map<string, string>; rules: IptablesRule[] } | undefined;
  for (const line of statements(text)) {
    const refuse = (why: string): never => {
      throw new IptablesFormatError("read the iptables listing at", line, why);
    };
    const first = line[0];
    if (first === "*") {
      if (open) refuse(`table ${open.name} has not ended`);
      open = { name: line.slice(1).trim(), chains: new Map(), rules: [] };
    } else if (!open) refuse("it is in no table");
    else if (line.trim() === "COMMIT") {
      tables.push(open);
      open = undefined;
    } else if (first === ":") {
      const [, chain, policy] = /^:(\S+) (\S+)/.exec(line) ?? refuse("want :CHAIN POLICY");
      open.chains.set(chain as string, policy as string);
    } else {
      if (mentions && !mentions.some((mention) => line.includes(mention))) continue;
      const [command, chain, ...words] = splitWords(line.replace(/^\[\d+:\d+\] /, ""));
      if (command !== "-A" || chain === undefined) refuse("want -A CHAIN");
      else open.rules.push({ chain, words });
    }
  }
  if (open) throw new IptablesFormatError("read the iptables listing of table", open.name, "it has no end (COMMIT)");
  return tables;
}

/** The lines, but for comments and empty ones; a quoted word may go on in the next. */
function* statements(text: string): Generator<string> {
  let at = 0;
  const nextLine = (): string => {
    const end = text.indexOf("\n", at);
    const line = text.slice(at, end < 0 ? text.length : end);
    at = end < 0 ? text.length : end + 1;
    return line;
  };
  while (at < text.length) {
    let line = nextLine();
    if (line === "" || line[0] === "#") continue;
    if (isOpen(line)) {
      const parts = [line];
      for (let open = true; open; ) {
        if (at >= text.length)
          throw new IptablesFormatError("read the iptables listing at", line, "a quote has no end");
        const part = nextLine();
        parts.push(part);
        open = isOpen(part, true);
      }
      line = parts.join("\n");
    }
    yield line;
  }
}
