import assert from "node:assert/strict";
import { parseIptablesSave, ruleMeaning } from "../../formats/iptables/index.ts";
import { joinWords, splitWords } from "../../formats/iptables/words.ts";
import type { IpFamily } from "../../formats/netip/index.ts";

interface Table {
  readonly chains: Map<string, string>;
  readonly rules: { readonly chain: string; readonly words: readonly string[] }[];
}

const BUILT_IN: Readonly<Record<string, readonly string[]>> = {
  nat: ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
  filter: ["INPUT", "FORWARD", "OUTPUT"],
};

/** The tables of one family as iptables keeps them, with what iptables-restore --noflush does to them. */
export class FakeIptables {
  readonly family: IpFamily;
  readonly calls: string[] = [];
  /** Makes the next calls fail. */
  failure: Error | undefined;
  /** Takes every restore and does nothing. */
  isDeaf = false;
  #tables = new Map<string, Table>();

  constructor(family: IpFamily = 4, listing = "") {
    this.family = family;
    for (const { name, chains, rules } of parseIptablesSave(listing))
      this.#tables.set(name, { chains: new Map(chains), rules: [...rules] });
  }

  async save(): Promise<string> {
    this.calls.push("save");
    if (this.failure) throw this.failure;
    return this.text();
  }

  async restore(text: string): Promise<void> {
    this.calls.push("restore");
    if (this.failure) throw this.failure;
    if (!this.isDeaf) this.apply(text);
  }

  text(): string {
    return [...this.#tables]
      .map(([name, { chains, rules }]) => {
        const heads = [...chains].map(([chain, policy]) => `:${chain} ${policy} [0:0]\n`);
        const lines = [...chains.keys()].flatMap((chain) =>
          rules.filter((rule) => rule.chain === chain).map(({ words }) => `-A ${chain} ${joinWords(words)}\n`),
        );
        return `*${name}\n${heads.join("")}${lines.join("")}COMMIT\n`;
      })
      .join("");
  }

  /** Each table as a whole, or not at all. */
  apply(text: string): void {
    const next = new Map(
      [...this.#tables].map(([name, t]) => [name, { chains: new Map(t.chains), rules: [...t.rules] }]),
    );
    let table: Table | undefined;
    for (const line of text.split("\n").filter((each) => each !== "")) {
      if (line === "COMMIT") table = undefined;
      else if (line.startsWith("*")) table = open(next, line.slice(1));
      else {
        assert.ok(table, line);
        carryOut(table, line);
      }
    }
    assert.equal(table, undefined, "no COMMIT");
    this.#tables = next;
  }
}

function open(tables: Map<string, Table>, name: string): Table {
  const chains = BUILT_IN[name];
  assert.ok(chains, name);
  const table = tables.get(name) ?? { chains: new Map(chains.map((chain) => [chain, "ACCEPT"])), rules: [] };
  tables.set(name, table);
  return table;
}

function carryOut(table: Table, line: string): void {
  const empty = (chain: string): void => {
    for (let i = table.rules.length - 1; i >= 0; i--) if (table.rules[i]?.chain === chain) table.rules.splice(i, 1);
  };
  if (line.startsWith(":")) {
    const chain = line.slice(1).split(" ")[0] ?? "";
    table.chains.set(chain, "-");
    empty(chain);
    return;
  }
  const [command, chain = "", ...words] = splitWords(line);
  assert.ok(table.chains.has(chain), `no chain ${chain}: ${line}`);
  switch (command) {
    case "-A":
    case "-I":
      assert.ok(table.chains.has(targetOf(words)) || !/^[A-Z]+-/.test(targetOf(words)), `no target: ${line}`);
      if (command === "-A") table.rules.push({ chain, words });
      else table.rules.unshift({ chain, words });
      return;
    case "-D": {
      const at = table.rules.findIndex((r) => r.chain === chain && ruleMeaning(r.words) === ruleMeaning(words));
      assert.ok(at >= 0, `no such rule: ${line}`);
      table.rules.splice(at, 1);
      return;
    }
    case "-F":
      empty(chain);
      return;
    case "-X":
      assert.ok(!table.rules.some((r) => r.chain === chain || targetOf(r.words) === chain), `in use: ${line}`);
      table.chains.delete(chain);
      return;
    default:
      assert.fail(line);
  }
}

function targetOf(words: readonly string[]): string {
  const at = words.findIndex((word) => word === "-j" || word === "-g");
  return at < 0 ? "" : (words[at + 1] ?? "");
}
