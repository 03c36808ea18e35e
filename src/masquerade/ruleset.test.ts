import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parsePrefix } from "../formats/netip/index.ts";
import { type MasqueradeConfig, masqueradeRuleset } from "./index.ts";

const IPV4 = { network: parsePrefix("10.5.0.0/16"), subnet: parsePrefix("10.5.67.0/24") };
const IPV6 = { network: parsePrefix("2001:cafe:42::/56"), subnet: parsePrefix("2001:cafe:42:57::/64") };
const BOTH: MasqueradeConfig = { ipv4: IPV4, ipv6: IPV6, ipMasq: true, forwardRules: true };

function golden(file: string): string {
  return readFileSync(new URL(`../../testdata/nftables/${file}`, import.meta.url), "utf8");
}

test("masqueradeRuleset() prints what testdata/nftables/make.sh gave to nft", () => {
  assert.equal(masqueradeRuleset(BOTH), golden("masquerade.nft"));
});

test("what nft made of it has Flannel's six rules, in its order and words", () => {
  const listed = golden("masquerade.list");
  const postrtg = listed.slice(listed.indexOf("chain postrtg"), listed.indexOf("chain forward"));
  assert.deepEqual(
    postrtg
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => /^(meta|ip) /.test(line)),
    [
      "meta mark 0x00004000 return",
      "ip saddr 10.5.67.0/24 ip daddr 10.5.0.0/16 return",
      "ip saddr 10.5.0.0/16 ip daddr 10.5.67.0/24 return",
      "ip saddr != 10.5.67.0/24 ip daddr 10.5.0.0/16 return",
      "ip saddr 10.5.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random",
      "ip saddr != 10.5.0.0/16 ip daddr 10.5.0.0/16 masquerade fully-random",
    ],
  );
});

test("each part can be left out", () => {
  const without = (change: Partial<MasqueradeConfig>): string =>
    masqueradeRuleset({ ipv4: IPV4, ipMasq: true, forwardRules: true, ...change });
  assert.doesNotMatch(without({}), /ip6/);
  assert.doesNotMatch(without({ ipMasq: false }), /postrtg|masquerade/);
  assert.match(without({ ipMasq: false }), /chain ip flannel-ipv4 forward/);
  assert.doesNotMatch(without({ forwardRules: false }), /forward/);
  assert.doesNotMatch(without({ randomFully: false }), /fully-random/);
  assert.match(without({ randomFully: false }), /daddr != 224\.0\.0\.0\/4 masquerade\n/);
});

test("a subnet of another family than its network is refused", () => {
  assert.throws(
    () => masqueradeRuleset({ ipv4: { network: IPV4.network, subnet: IPV6.subnet }, ipMasq: true, forwardRules: true }),
    RangeError,
  );
});
