import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  IptablesFormatError,
  type IptablesTable,
  parseIptablesSave,
  printIptablesRestore,
  ruleComment,
  ruleMeaning,
  ruleTarget,
} from "./index.ts";
import { splitWords } from "./words.ts";

const golden = (name: string): string =>
  readFileSync(new URL(`../../../testdata/iptables/${name}`, import.meta.url), "utf8");
const table = (text: string, name: string): IptablesTable => {
  const found = parseIptablesSave(text).find((candidate) => candidate.name === name);
  assert.ok(found);
  return found;
};

describe("parseIptablesSave()", () => {
  for (const variant of ["nft", "legacy"])
    it(`reads what iptables-${variant}-save prints`, () => {
      const nat = table(golden(`${variant}-v4.save`), "nat");
      assert.deepEqual([...nat.chains].slice(-3), [
        ["POSTROUTING", "ACCEPT"],
        ["FLANNEL-POSTRTG", "-"],
        ["KUBE-POSTROUTING", "-"],
      ]);
      const [kube, flannel, mark] = nat.rules;
      assert.deepEqual(kube, {
        chain: "POSTROUTING",
        words: ["-m", "comment", "--comment", 'kubernetes "x" postrouting', "-j", "KUBE-POSTROUTING"],
      });
      assert.deepEqual(flannel?.words, ["-m", "comment", "--comment", "flanneld masq", "-j", "FLANNEL-POSTRTG"]);
      assert.equal(mark?.chain, "FLANNEL-POSTRTG");
      assert.equal(table(golden(`${variant}-v4.save`), "filter").chains.get("FORWARD"), "DROP");
      assert.equal(table(golden(`${variant}-v6.save`), "filter").rules.length, 4);
    });

  it("leaves out the rules that nobody asked for", () => {
    const tables = parseIptablesSave(golden("nft-v4.save"), ["FLANNEL-FWD"]);
    assert.deepEqual(
      tables.map(({ name, chains, rules }) => [name, chains.size, rules.length]),
      [
        ["filter", 4, 3],
        ["nat", 6, 0],
      ],
    );
  });

  it("reads counters, and a comment of several lines for what it is", () => {
    const text =
      '*filter\n:FORWARD ACCEPT [1:2]\n[7:80] -A FORWARD --comment "a\n-A FLANNEL-FWD -j DROP\nb\\"" -j X\nCOMMIT\n';
    assert.deepEqual(table(text, "filter").rules, [
      { chain: "FORWARD", words: ["--comment", 'a\n-A FLANNEL-FWD -j DROP\nb"', "-j", "X"] },
    ]);
  });

  for (const [what, text] of [
    ["a part of a listing", "*nat\n:POSTROUTING ACCEPT [0:0]\n"],
    ["a table in a table", "*nat\n*filter\nCOMMIT\n"],
    ["a rule in no table", "-A POSTROUTING -j X\n"],
    ["a quote without an end", '*nat\n-A POSTROUTING --comment "x\nCOMMIT\n'],
    ["anything else", "*nat\niptables: Permission denied\nCOMMIT\n"],
    ["a chain without a policy", "*nat\n:X\nCOMMIT\n"],
  ] as const)
    it(`refuses ${what}`, () => assert.throws(() => parseIptablesSave(text), IptablesFormatError));

  it("reads any text, or refuses it by its own error, in time", () => {
    const part = fc.constantFrom(
      "*nat\n",
      "COMMIT\n",
      ":X - [0:0]\n",
      "-A X ",
      '"',
      "\\",
      "\n",
      "! ",
      "-j ",
      "é ",
      "[1:2] ",
    );
    const texts = fc.oneof(
      fc.string(),
      fc.array(part, { maxLength: 60 }).map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(texts, (text) => {
        try {
          for (const { rules } of parseIptablesSave(text))
            for (const { words } of rules) {
              ruleMeaning(words);
              ruleTarget(words);
            }
        } catch (error) {
          assert.ok(error instanceof IptablesFormatError, String(error));
        }
      }),
      { numRuns: 3000 },
    );
    // Quadratic reading would take minutes.
    assert.throws(() => parseIptablesSave(`*nat\n-A X "${'"\n"'.repeat(200_000)}`), IptablesFormatError);
  });
});

describe("printIptablesRestore()", () => {
  it("prints nothing for nothing", () => assert.equal(printIptablesRestore([{ table: "nat", lines: [] }]), ""));

  it("prints each kind of line", () => {
    const words = ["!", "-s", "10.5.0.0/16", "-m", "comment", "--comment", 'a "b" \\c', "-j", "RETURN"];
    const text = printIptablesRestore([
      {
        table: "nat",
        lines: [
          { do: "renew", chain: "A" },
          { do: "append", chain: "A", words },
          { do: "delete", chain: "B", words: ["-j", "A"] },
          { do: "flush", chain: "C" },
          { do: "remove", chain: "C" },
        ],
      },
    ]);
    assert.equal(
      text,
      '*nat\n:A - [0:0]\n-A A ! -s 10.5.0.0/16 -m comment --comment "a \\"b\\" \\\\c" -j RETURN\n-D B -j A\n-F C\n-X C\nCOMMIT\n',
    );
  });

  it("is read back as it was, whatever the words", () => {
    const word = fc.oneof(fc.string({ minLength: 1 }), fc.constantFrom("!", "-s", "a b", '"', "\\"));
    fc.assert(
      fc.property(
        fc.array(
          word.filter((text) => !/[\0\n\r]/.test(text)),
          { minLength: 1 },
        ),
        (words) => {
          const text = printIptablesRestore([{ table: "nat", lines: [{ do: "append", chain: "X", words }] }]);
          assert.deepEqual(parseIptablesSave(text)[0]?.rules, [{ chain: "X", words }]);
        },
      ),
    );
  });

  it("lets nothing in that is more than a word, or more than a name", () => {
    const append =
      (chain: string, ...words: string[]) =>
      (): string =>
        printIptablesRestore([{ table: "nat", lines: [{ do: "append", chain, words }] }]);
    assert.throws(append("X", "--comment", "a\nCOMMIT"), IptablesFormatError);
    assert.throws(append("X", "x".repeat(10_001)), IptablesFormatError);
    for (const name of ["", "A B", "-j", "A\nB", "!", "x".repeat(29)]) assert.throws(append(name), IptablesFormatError);
    assert.throws(
      () => printIptablesRestore([{ table: "n t", lines: [{ do: "flush", chain: "X" }] }]),
      IptablesFormatError,
    );
  });
});

describe("ruleMeaning()", () => {
  const meaning = (line: string): string => ruleMeaning(splitWords(line));
  for (const [a, b] of [
    ['-s 10.5.0.0/16 -m comment --comment "x" -j ACCEPT', "--comment x -s 10.5.0.0/255.255.0.0 -j ACCEPT"],
    ["-m mark --mark 0x4000/0x4000 -j RETURN", "-j RETURN -m mark --mark 16384/0x00004000"],
    ["! -s 10.5.0.0/16 -j RETURN", "! --source 10.5.0.0/16 --jump RETURN"],
    ["-d 10.5.0.7 -j X", "-d 10.5.0.7/32 -j X"],
    ["-d 2001:cafe:42:0::/56 -j X", "-d 2001:cafe:42::/56 -j X"],
  ] as const)
    it(`takes ${a} and ${b} for one`, () => assert.equal(meaning(a), meaning(b)));

  for (const [a, b] of [
    ["-s 10.5.0.0/16 -j X", "! -s 10.5.0.0/16 -j X"],
    ["! -s 10.5.0.0/16 -d 10.5.0.0/16 -j X", "-s 10.5.0.0/16 ! -d 10.5.0.0/16 -j X"],
    ["-j X", "-g X"],
    ["-j MASQUERADE", "-j MASQUERADE --random-fully"],
    ["-s 10.5.0.0/16 -j X", "-s 10.5.0.0/17 -j X"],
    ["-s 10.5.0.0/16 -j X", "-s 10.5.0.0/16 -i eth0 -j X"],
    ['--comment "-j X"', "--comment -j X"],
  ] as const)
    it(`tells ${a} from ${b}`, () => assert.notEqual(meaning(a), meaning(b)));

  it("knows target and comment, and is not fooled by a comment that looks like a target", () => {
    const words = splitWords('-m comment --comment "-j" -g FLANNEL-FWD');
    assert.deepEqual([ruleTarget(words), ruleComment(words)], ["FLANNEL-FWD", "-j"]);
    assert.deepEqual([ruleTarget(["-s", "1.2.3.4"]), ruleComment([])], [undefined, undefined]);
  });
});
