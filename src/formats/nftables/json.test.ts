import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { NftFormatError, parseRuleset, type Ruleset, type Statement } from "./index.ts";

/** What `nft --json list ruleset` printed; testdata/nftables/make.sh made it. */
function recorded(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../../testdata/nftables/${name}.json`, import.meta.url), "utf8"));
}

function statements(ruleset: Ruleset, chain: string): Statement[][] {
  return ruleset.rules.filter((rule) => rule.chain === chain).map((rule) => [...rule.statements]);
}

test("parseRuleset() reads Flannel's table", () => {
  const ruleset = parseRuleset(recorded("masquerade"));
  assert.deepEqual(
    ruleset.tables.map(({ family, name, comment }) => [family, name, comment]),
    [
      ["ip", "flannel-ipv4", undefined],
      ["ip6", "flannel-ipv6", undefined],
    ],
  );
  assert.deepEqual(ruleset.chains[0]?.base, { type: "nat", hook: "postrouting", priority: 100, policy: "accept" });
  const [mark, , , own, masquerade] = statements(ruleset, "postrtg");
  assert.deepEqual(mark, [
    { kind: "match", op: "==", left: { kind: "meta", key: "mark" }, right: { kind: "value", value: 16384 } },
    { kind: "verdict", verdict: { verdict: "return" } },
  ]);
  const saddr = { kind: "payload", protocol: "ip", field: "saddr" };
  assert.deepEqual(own?.[0], {
    kind: "match",
    op: "!=",
    left: saddr,
    right: { kind: "prefix", address: "10.5.67.0", length: 24 },
  });
  assert.deepEqual(masquerade?.at(-1), { kind: "masquerade", flags: ["fully-random"] });
});

test("parseRuleset() reads the gateway's maps, and knows every statement in it", () => {
  const ruleset = parseRuleset(recorded("gateway"));
  const endpoints = ruleset.sets.find(({ name }) => name === "service-endpoints");
  assert.deepEqual(endpoints?.keyTypes, ["ipv4_addr", "inet_proto", "inet_service", "integer"]);
  assert.deepEqual(endpoints?.dataTypes, ["ipv4_addr", "inet_service"]);
  assert.equal(endpoints?.elements.length, 4);
  const vips = ruleset.sets.find(({ name }) => name === "service-ips");
  const tcp = vips?.elements.find(({ key }) => key[1]?.kind === "value" && key[1].value === "tcp");
  assert.deepEqual(tcp, {
    key: ["10.96.0.10", "tcp", 80].map((value) => ({ kind: "value", value })),
    value: { verdict: "goto", chain: "service-2" },
    comment: "default/web",
  });
  assert.ok(!JSON.stringify(ruleset).includes('"kind":"raw"'));
  const [, dnat] = statements(ruleset, "service-affinity-64");
  assert.equal(dnat?.[0]?.kind, "dnat");
});

test("parseRuleset() keeps what it does not know as nft gave it", () => {
  const ruleset = parseRuleset(recorded("foreign"));
  const input = statements(ruleset, "input");
  assert.deepEqual(input[1], [
    {
      kind: "vmap",
      key: { kind: "ct", key: "state" },
      data: {
        kind: "mappings",
        entries: [
          [{ kind: "value", value: "invalid" }, { verdict: "drop" }],
          [
            { kind: "value", value: "new" },
            { verdict: "jump", chain: "fresh" },
          ],
        ],
      },
    },
  ]);
  assert.deepEqual(input[4]?.[1], { kind: "raw", json: { limit: { rate: 5, burst: 5, per: "second" } } });
  assert.equal(input[5]?.[0]?.kind, "raw");
  assert.equal(ruleset.rules.find(({ comment }) => comment === "new TCP")?.statements.length, 4);
  const fresh = statements(ruleset, "fresh");
  assert.deepEqual(
    fresh[0]?.map(({ kind }) => kind),
    ["raw", "raw", "raw", "verdict"],
  );
  const allowed = ruleset.sets.find(({ name }) => name === "allowed");
  assert.deepEqual(
    allowed?.elements.map(({ key, comment }) => [key[0]?.kind, comment]),
    [
      ["prefix", undefined],
      ["range", undefined],
      ["value", "office"],
    ],
  );
  const [, , balanced] = statements(ruleset, "nat");
  const dnat = balanced?.[1];
  assert.ok(dnat?.kind === "dnat" && dnat.address?.kind === "map" && dnat.address.data.kind === "mappings");
});

test("a known statement with a field nobody knows is raw: half understood is not understood", () => {
  const json = { match: { op: "==", left: "a", right: "b", modifier: 1 } };
  const rule = { family: "ip", table: "t", chain: "c", handle: 1, expr: [json, { masquerade: null }] };
  assert.deepEqual(parseRuleset({ nftables: [{ rule }] }).rules[0]?.statements, [
    { kind: "raw", json },
    { kind: "masquerade", flags: [] },
  ]);
});

test("parseRuleset() refuses what is no listing, and passes over objects it does not know", () => {
  for (const bad of [null, 1, [], {}, { nftables: 1 }, { nftables: [1] }, { nftables: [{ table: {} }] }])
    assert.throws(() => parseRuleset(bad), NftFormatError);
  assert.deepEqual(parseRuleset({ nftables: [{ metainfo: {} }, { flowtable: {} }] }).tables, []);
});

test("parseRuleset() reads any expression without throwing", () => {
  const expression = fc.jsonValue({ maxDepth: 4 });
  fc.assert(
    fc.property(fc.array(expression), (expr) => {
      const rule = { family: "ip", table: "t", chain: "c", handle: 1, expr };
      assert.equal(parseRuleset({ nftables: [{ rule }] }).rules[0]?.statements.length, expr.length);
    }),
  );
});
