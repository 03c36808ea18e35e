import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parsePrefix } from "../netip/index.ts";
import {
  checkName,
  device,
  NftFormatError,
  type NftObject,
  named,
  printCommand,
  printElement,
  printKey,
  printTransaction,
  type RuleText,
  replaceTable,
  rule,
  type Verb,
} from "./index.ts";

const PLACE = { family: "ip", table: "t" } as const;
const TABLE: NftObject = { kind: "table", family: "ip", name: "t", comment: "a table" };
const CHAIN: NftObject = {
  kind: "chain",
  ...PLACE,
  name: "c",
  base: { type: "nat", hook: "postrouting", priority: "srcnat - 10", policy: "accept" },
  comment: "x",
};
const PLAIN: NftObject = { kind: "chain", ...PLACE, name: "plain" };
const SET: NftObject = {
  kind: "set",
  ...PLACE,
  name: "s",
  key: { types: ["ipv4_addr", "inet_service"] },
  flags: ["interval", "timeout"],
};
const MAP: NftObject = { kind: "map", ...PLACE, name: "m", key: { typeof: rule`ip daddr` }, data: "verdict" };
const RULE: NftObject = {
  kind: "rule",
  ...PLACE,
  chain: "c",
  text: rule`ip saddr ${parsePrefix("10.0.0.0/8")} return`,
  comment: "why",
};
const RULE_HANDLE: NftObject = { kind: "rule-handle", ...PLACE, chain: "c", handle: 12345678901234567n };
const ELEMENTS: NftObject = {
  kind: "element",
  ...PLACE,
  set: "m",
  elements: [
    { key: ["10.96.0.10", "tcp", 80], value: { verdict: "goto", chain: "c" }, comment: "ns/svc" },
    { key: ["fd00::1"], value: ["10.0.0.1", 8080] },
    { key: ["10.0.0.0/8"] },
  ],
};

const REFUSED = "refused";
const CASES: readonly [NftObject, Record<Verb, string>][] = [
  [
    TABLE,
    {
      add: 'add table ip t { comment "a table" ; }\n',
      create: 'create table ip t { comment "a table" ; }\n',
      insert: REFUSED,
      flush: "flush table ip t\n",
      delete: "delete table ip t\n",
      destroy: "add table ip t\ndelete table ip t\n",
    },
  ],
  [
    CHAIN,
    {
      add: 'add chain ip t c { type nat hook postrouting priority srcnat - 10 ; policy accept ; comment "x" ; }\n',
      create:
        'create chain ip t c { type nat hook postrouting priority srcnat - 10 ; policy accept ; comment "x" ; }\n',
      insert: REFUSED,
      flush: "flush chain ip t c\n",
      delete: "delete chain ip t c\n",
      destroy: "add chain ip t c\nflush chain ip t c\ndelete chain ip t c\n",
    },
  ],
  [
    PLAIN,
    {
      add: "add chain ip t plain\n",
      create: "create chain ip t plain\n",
      insert: REFUSED,
      flush: "flush chain ip t plain\n",
      delete: "delete chain ip t plain\n",
      destroy: "add chain ip t plain\nflush chain ip t plain\ndelete chain ip t plain\n",
    },
  ],
  [
    SET,
    {
      add: "add set ip t s { type ipv4_addr . inet_service ; flags interval,timeout ; }\n",
      create: "create set ip t s { type ipv4_addr . inet_service ; flags interval,timeout ; }\n",
      insert: REFUSED,
      flush: "flush set ip t s\n",
      delete: "delete set ip t s\n",
      destroy: "add set ip t s { type ipv4_addr . inet_service ; flags interval,timeout ; }\ndelete set ip t s\n",
    },
  ],
  [
    MAP,
    {
      add: "add map ip t m { typeof ip daddr : verdict ; }\n",
      create: "create map ip t m { typeof ip daddr : verdict ; }\n",
      insert: REFUSED,
      flush: "flush map ip t m\n",
      delete: "delete map ip t m\n",
      destroy: "add map ip t m { typeof ip daddr : verdict ; }\ndelete map ip t m\n",
    },
  ],
  [
    RULE,
    {
      add: 'add rule ip t c ip saddr 10.0.0.0/8 return comment "why"\n',
      create: REFUSED,
      insert: 'insert rule ip t c ip saddr 10.0.0.0/8 return comment "why"\n',
      flush: REFUSED,
      delete: REFUSED,
      destroy: REFUSED,
    },
  ],
  [
    RULE_HANDLE,
    {
      add: REFUSED,
      create: REFUSED,
      insert: REFUSED,
      flush: REFUSED,
      delete: "delete rule ip t c handle 12345678901234567\n",
      destroy: REFUSED,
    },
  ],
  [
    ELEMENTS,
    {
      add: 'add element ip t m { 10.96.0.10 . tcp . 80 comment "ns/svc" : goto c, fd00::1 : 10.0.0.1 . 8080, 10.0.0.0/8 }\n',
      create:
        'create element ip t m { 10.96.0.10 . tcp . 80 comment "ns/svc" : goto c, fd00::1 : 10.0.0.1 . 8080, 10.0.0.0/8 }\n',
      insert: REFUSED,
      flush: REFUSED,
      delete: "delete element ip t m { 10.96.0.10 . tcp . 80, fd00::1, 10.0.0.0/8 }\n",
      destroy: REFUSED,
    },
  ],
];

for (const [object, verbs] of CASES) {
  test(`printCommand() spells or refuses each verb for a ${object.kind}`, () => {
    for (const [verb, want] of Object.entries(verbs) as [Verb, string][]) {
      if (want === REFUSED) assert.throws(() => printCommand(verb, object), NftFormatError, verb);
      else assert.equal(printCommand(verb, object), want);
    }
  });
}

test("no elements make no command, which nft would refuse", () => {
  assert.equal(printCommand("add", { kind: "element", ...PLACE, set: "s", elements: [] }), "");
});

test("replaceTable() takes the old table away in the same transaction", () => {
  assert.equal(
    printTransaction(replaceTable({ kind: "table", family: "ip", name: "t" }, [PLAIN])),
    "add table ip t\ndelete table ip t\nadd table ip t\nadd chain ip t plain\n",
  );
});

test("rule`` puts in addresses, prefixes, numbers, lists and names", () => {
  const chain = named("kube-proxy/like.name");
  assert.equal(
    rule`ip saddr { ${"10.0.0.1"} } ip daddr ${[parsePrefix("10.0.0.0/8"), "10.1.2.3", 7]} oifname ${device("eth1.7")} mark ${3} jump ${chain}`
      .text,
    'ip saddr { 10.0.0.1 } ip daddr { 10.0.0.0/8, 10.1.2.3, 7 } oifname "eth1.7" mark 3 jump kube-proxy/like.name',
  );
});

const HOSTILE = [
  "10.0.0.1 accept",
  "10.0.0.1; flush ruleset",
  "10.0.0.1\nflush ruleset",
  "}",
  "{ 1 }",
  '"',
  "@set",
  "$var",
  "example.com",
  "a b",
  "",
  "10.0.0.0/8 ",
  "10.0.0.0/33",
  "0x10;",
  "#",
  "a\0b",
  "é",
];

test("nothing hostile gets into a rule, a key, a name, a device or a comment", () => {
  for (const text of HOSTILE) {
    assert.throws(() => rule`ip saddr ${text} return`, NftFormatError, text);
    assert.throws(() => rule`ip saddr ${[text]} return`, NftFormatError, text);
    assert.throws(() => printKey([text]), NftFormatError, text);
    // A name may have dots: nft asks no DNS about names.
    if (text !== "example.com") assert.throws(() => checkName(text), NftFormatError, text);
  }
  for (const name of ["fwd", "ip", "table", "1st", "-x", "a".repeat(256)])
    assert.throws(() => checkName(name), NftFormatError, name);
  for (const name of ["", "a b", 'e"', "eth*", "a/b", "..", "x".repeat(16), "a\nb", "a:b"])
    assert.throws(() => device(name), NftFormatError, name);
  for (const comment of ['a"b', "a\nb", "é".repeat(65)])
    assert.throws(() => printElement({ key: [1], comment }), NftFormatError, comment);
  for (const number of [-1, 1.5, Number.NaN, 2 ** 60]) assert.throws(() => printKey([number]), NftFormatError);
  assert.throws(
    () => printCommand("add", { ...CHAIN, base: { type: "nat", hook: "input", priority: "0 ; }" } } as NftObject),
    NftFormatError,
  );
  assert.throws(() => printCommand("add", { ...SET, key: { types: ["ipv4_addr }"] } } as NftObject), NftFormatError);
  // A string cannot pass for checked text, whatever the types say.
  assert.throws(() => rule`${"ip saddr 1.2.3.4 accept" as unknown as RuleText}`, NftFormatError);
});

test("whatever is put in, a printed key stays one key", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.integer()), { minLength: 1 }), (key) => {
      let text: string;
      try {
        text = printKey(key);
      } catch (error) {
        assert.ok(error instanceof NftFormatError);
        return;
      }
      assert.match(text, /^[A-Za-z0-9_.:/-]+( \. [A-Za-z0-9_.:/-]+)*$/);
      assert.equal(text.split(" . ").length, key.length);
    }),
  );
});

test("key and data of a map are both types or both typeof", () => {
  assert.throws(() => printCommand("add", { ...MAP, data: { types: ["mark"] } } as NftObject), NftFormatError);
});
