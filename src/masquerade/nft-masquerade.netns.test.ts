import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { pino } from "pino";
import { parsePrefix } from "../formats/netip/index.ts";
import { parseRuleset } from "../formats/nftables/index.ts";
import { createUnnamedNetNs, inNs, type NetNs, Nft } from "../kernel/index.ts";
import { type MasqueradeConfig, NftMasquerade } from "./index.ts";

const LOG = pino({ level: "silent" });
const CONFIG: MasqueradeConfig = {
  ipv4: { network: parsePrefix("10.5.0.0/16"), subnet: parsePrefix("10.5.67.0/24") },
  ipv6: { network: parsePrefix("2001:cafe:42::/56"), subnet: parsePrefix("2001:cafe:42:57::/64") },
  ipMasq: true,
  forwardRules: true,
};

const skip = whyNot();

/** Why these tests cannot run here, or false. */
function whyNot(): string | false {
  if (process.getuid?.() !== 0) return "needs root, to make network namespaces";
  if (spawnSync("nft", ["--version"]).status !== 0) return "nft is not installed (apt-get install nftables)";
  return false;
}

function nftProgram(ns: NetNs, ...args: string[]): string {
  const { status, stdout, stderr } = inNs(ns, () => spawnSync("nft", args, { encoding: "utf8" }));
  assert.equal(status, 0, stderr);
  return stdout;
}

test("ensure() makes exactly the recorded tables, and a second one writes nothing", { skip }, () => {
  using ns = createUnnamedNetNs();
  using nft = Nft.open(ns);
  using masquerade = new NftMasquerade(nft, CONFIG, LOG);
  assert.equal(masquerade.ensure(), true);
  const golden = readFileSync(new URL("../../testdata/nftables/masquerade.list", import.meta.url), "utf8");
  assert.equal(nftProgram(ns, "--stateless", "list", "ruleset"), golden);
  assert.equal(masquerade.ensure(), false);
});

test("ensure() replaces what a predecessor with another subnet left, and leaves others' tables alone", { skip }, () => {
  using ns = createUnnamedNetNs();
  using nft = Nft.open(ns);
  nftProgram(
    ns,
    `add table ip other; add table ip flannel-ipv4;
     add chain ip flannel-ipv4 postrtg { type nat hook postrouting priority 5; }`,
  );
  using masquerade = new NftMasquerade(nft, CONFIG, LOG);
  masquerade.ensure();
  const { tables, chains } = parseRuleset(nft.listRuleset());
  assert.deepEqual(tables.map(({ name }) => name).sort(), ["flannel-ipv4", "flannel-ipv6", "other"]);
  assert.equal(chains.find(({ name }) => name === "postrtg")?.base?.priority, 100);
});

test("watch() brings back what is flushed, added or deleted", { skip }, async () => {
  using ns = createUnnamedNetNs();
  using nft = Nft.open(ns);
  using observer = Nft.open(ns);
  using masquerade = new NftMasquerade(nft, CONFIG, LOG);
  using _watch = masquerade.watch();
  const listing = (): string => nftProgram(ns, "--stateless", "list", "ruleset");
  const good = listing();
  const changes = new EventTarget();
  using _observed = observer.watch(() => changes.dispatchEvent(new Event("change")));
  for (const damage of [
    ["flush", "ruleset"],
    ["delete", "table", "ip6", "flannel-ipv6"],
    ["flush", "chain", "ip", "flannel-ipv4", "postrtg"],
    ["add", "rule", "ip", "flannel-ipv4", "forward", "drop"],
  ]) {
    const change = once(changes, "change");
    nftProgram(ns, ...damage);
    await change;
    // The repair may or may not be part of the first announcement.
    while (listing() !== good) await once(changes, "change");
  }
});

test("cleanup() removes both tables and nothing else, even when there are none", { skip }, () => {
  using ns = createUnnamedNetNs();
  using nft = Nft.open(ns);
  using masquerade = new NftMasquerade(nft, CONFIG, LOG);
  nftProgram(ns, "add", "table", "ip", "other");
  masquerade.ensure();
  masquerade.cleanup();
  masquerade.cleanup();
  assert.deepEqual(
    parseRuleset(nft.listRuleset()).tables.map(({ name }) => name),
    ["other"],
  );
  assert.equal(masquerade.ensure(), true);
});
