import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { after, describe, test } from "node:test";
import { type NftObject, parseRuleset, printTransaction, rule } from "../formats/nftables/index.ts";
import { createUnnamedNetNs, inNs, isAlreadyExists, isNotFound, Nft, NftError } from "./index.ts";

const skip = whyNot();

/** Why these tests cannot run here, or false. */
function whyNot(): string | false {
  if (process.getuid?.() !== 0) return "needs root, to make network namespaces";
  if (spawnSync("nft", ["--version"]).status !== 0) return "nft is not installed (apt-get install nftables)";
  return false;
}

for (const engine of ["library", "program"] as const) {
  describe(`Nft by the ${engine}`, { skip }, () => {
    const ns = skip ? undefined : createUnnamedNetNs();
    const nft = ns && Nft.open(ns, { engine });
    after(() => {
      nft?.[Symbol.dispose]();
      ns?.close();
    });

    function opened(): { ns: NonNullable<typeof ns>; nft: Nft } {
      assert.ok(ns && nft);
      return { ns, nft };
    }

    test("changes and lists the ruleset of its own namespace only", () => {
      const { ns, nft } = opened();
      assert.equal(nft.engine, engine);
      nft.apply('add table ip t { comment "a b" ; }\nadd chain ip t c\nadd rule ip t c ip saddr 10.0.0.0/8 accept\n');
      const ruleset = parseRuleset(nft.listRuleset());
      assert.deepEqual(
        ruleset.tables.map(({ family, name }) => `${family} ${name}`),
        ["ip t"],
      );
      assert.equal(ruleset.rules[0]?.statements.length, 2);
      const seen = inNs(ns, () => spawnSync("nft", ["list", "tables"], { encoding: "utf8" })).stdout;
      assert.equal(seen, "table ip t\n");
      using elsewhere = createUnnamedNetNs();
      using other = Nft.open(elsewhere, { engine });
      assert.deepEqual(parseRuleset(other.listRuleset()).tables, []);
    });

    test("a text is one transaction: a failure in its last line undoes its first", () => {
      const { nft } = opened();
      assert.throws(() => nft.apply("add table ip half\nadd rule ip half nowhere accept\n"), NftError);
      assert.ok(!parseRuleset(nft.listRuleset()).tables.some(({ name }) => name === "half"));
    });

    test("ruleMarks() finds the rules of one table by chain and comment, to be deleted by their handles", () => {
      const { nft } = opened();
      assert.deepEqual(nft.ruleMarks("inet", "nowhere"), []);
      nft.apply(
        'add table inet m\nadd chain inet m a\nadd chain inet m b\nadd rule inet m a tcp dport 1 accept comment "one"\n' +
          'add rule inet m b accept\nadd rule inet m a drop comment "zwei: ä"\nadd table ip m\nadd chain ip m a\n' +
          'add rule ip m a accept comment "elsewhere"\n',
      );
      const marks = nft.ruleMarks("inet", "m");
      assert.deepEqual(
        marks.map(({ chain, comment }) => [chain, comment]),
        [
          ["a", "one"],
          ["a", "zwei: ä"],
          ["b", undefined],
        ],
      );
      const [one] = marks;
      assert.ok(one);
      const object = { kind: "rule-handle", family: "inet", table: "m", chain: one.chain, handle: one.handle } as const;
      nft.apply(printTransaction([{ verb: "delete", object }]));
      assert.deepEqual(
        nft.ruleMarks("inet", "m").map(({ comment }) => comment),
        ["zwei: ä", undefined],
      );
      assert.throws(() => nft.apply(printTransaction([{ verb: "delete", object }])), isNotFound);
      nft.apply("delete table inet m\ndelete table ip m\n");
    });

    test("ruleMarks() finds two thousand rules", () => {
      const { nft } = opened();
      const rules = Array.from(
        { length: 2000 },
        (_, i) => `add rule ip many c tcp dport ${i} accept comment "n${i}"\n`,
      );
      nft.apply(`add table ip many\nadd chain ip many c\n${rules.join("")}`);
      const marks = nft.ruleMarks("ip", "many");
      assert.deepEqual([marks.length, marks[1999]?.comment], [2000, "n1999"]);
      nft.apply("delete table ip many\n");
    });

    test("check() changes nothing, and tells what apply() would", () => {
      const { nft } = opened();
      nft.check("add table ip never\n");
      assert.ok(!parseRuleset(nft.listRuleset()).tables.some(({ name }) => name === "never"));
      assert.throws(() => nft.check("add table ip t extra\n"), NftError);
      nft.apply("add table ip applied-after-check\n");
      assert.ok(parseRuleset(nft.listRuleset()).tables.some(({ name }) => name === "applied-after-check"));
    });

    test("an error tells the line, the words and the errno", () => {
      const { nft } = opened();
      const failing = (run: () => void): NftError => {
        try {
          run();
        } catch (error) {
          assert.ok(error instanceof NftError);
          return error;
        }
        throw new assert.AssertionError({ message: "nothing was thrown" });
      };
      const missing = failing(() => nft.apply("add table ip u\nadd rule ip u nowhere accept\n"));
      assert.equal(missing.line, 2);
      assert.equal(missing.excerpt, "add rule ip u nowhere accept");
      assert.equal(missing.code, "ENOENT");
      assert.match(missing.message, /^Cannot change the ruleset: .*No such file or directory.*nowhere/);
      assert.ok(isNotFound(missing));
      assert.ok(isNotFound(failing(() => nft.list("list table ip absent"))));
      assert.ok(isAlreadyExists(failing(() => nft.apply("create table ip t\n"))));
      const syntax = failing(() => nft.apply("add table ip u\nadd nonsense\n"));
      assert.equal(syntax.line, 2);
      assert.equal(syntax.code, undefined);
      assert.match(syntax.reason, /syntax error/);
    });

    test("takes what printTransaction() prints, whether the objects are there or not", () => {
      const { nft } = opened();
      const place = { family: "inet", table: "printed" } as const;
      const declarations: NftObject[] = [
        { kind: "table", family: "inet", name: "printed", comment: "c" },
        {
          kind: "chain",
          ...place,
          name: "base",
          base: { type: "filter", hook: "forward", priority: "filter - 1", policy: "accept" },
        },
        { kind: "chain", ...place, name: "forward", comment: "free, unlike fwd" },
        { kind: "set", ...place, name: "s", key: { types: ["ipv4_addr"] }, flags: ["interval"] },
        { kind: "map", ...place, name: "m", key: { typeof: rule`meta l4proto . th dport` }, data: "verdict" },
      ];
      const elements = {
        kind: "element",
        ...place,
        set: "m",
        elements: [{ key: ["tcp", 80], value: { verdict: "goto", chain: "forward" }, comment: "e" }],
      } as const;
      const rules: NftObject = { kind: "rule", ...place, chain: "base", text: rule`ip saddr @s accept`, comment: "x" };
      for (let time = 0; time < 2; time++) {
        nft.apply(printTransaction([...declarations, elements, rules].map((object) => ({ verb: "add", object }))));
        // What is in use cannot go: nft would say so.
        const [table] = declarations;
        assert.ok(table);
        nft.apply(
          printTransaction([
            { verb: "delete", object: elements },
            { verb: "flush", object: table },
          ]),
        );
        const innermostFirst = declarations.toReversed();
        nft.apply(printTransaction(innermostFirst.map((object) => ({ verb: "destroy", object }))));
        nft.apply(printTransaction(innermostFirst.slice(-1).map((object) => ({ verb: "destroy", object }))));
        assert.ok(!parseRuleset(nft.listRuleset()).tables.some(({ name }) => name === "printed"));
      }
    });

    test("a watch reports what others change in its table, and not what this Nft changes", async () => {
      const { ns, nft } = opened();
      nft.apply("add table ip mine\nadd table ip other\nadd table ip6 mine\n");
      const changes = new EventTarget();
      let count = 0;
      using _watch = nft.watch(
        () => {
          count++;
          changes.dispatchEvent(new Event("change"));
        },
        { family: "ip", table: "mine" },
      );
      const outside = (text: string): void => {
        const result = inNs(ns, () => spawnSync("nft", ["-f", "-"], { input: text, encoding: "utf8" }));
        assert.equal(result.stderr, "");
      };
      nft.apply("add chain ip mine ours\n");
      outside("add chain ip other theirs\nadd chain ip6 mine theirs\n");
      // Announcements come in order: once this one is here, the ones above would have been.
      const first = once(changes, "change");
      outside("add chain ip mine theirs\n");
      await first;
      assert.equal(count, 1);
      const second = once(changes, "change");
      outside("flush ruleset\n");
      await second;
      assert.equal(count, 2);
      nft.apply("add table ip mine\nadd table ip t\n");
    });

    test("a failed transaction of our own does not hide another's change", async () => {
      const { ns, nft } = opened();
      nft.apply("add table ip shared\n");
      const changes = new EventTarget();
      using _watch = nft.watch(() => changes.dispatchEvent(new Event("change")), { family: "ip", table: "shared" });
      const change = once(changes, "change");
      inNs(ns, () => spawnSync("nft", ["add", "chain", "ip", "shared", "theirs"]));
      assert.throws(() => nft.apply("add rule ip shared nowhere accept\n"), NftError);
      await change;
    });
  });
}

test("without library and program the error names the package", () => {
  assert.throws(
    () => Nft.open(undefined, { libraryName: "libnftables-absent.so.9", programPath: "/nonexistent/nft" }),
    (error) => error instanceof NftError && /apt-get install nftables/.test(error.message),
  );
});

test("without the library the program is used", { skip }, () => {
  using nft = Nft.open(undefined, { libraryName: "libnftables-absent.so.9" });
  assert.equal(nft.engine, "program");
});
