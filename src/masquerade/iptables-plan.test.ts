import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parsePrefix } from "../formats/netip/index.ts";
import type { MasqueradeConfig } from "./index.ts";
import { planRestore } from "./iptables-plan.ts";
import { wantedChains } from "./iptables-rules.ts";
import { FakeIptables } from "./testing/fake-iptables.ts";

const CONFIG: MasqueradeConfig = {
  ipv4: { network: parsePrefix("10.5.0.0/16"), subnet: parsePrefix("10.5.67.0/24") },
  ipv6: { network: parsePrefix("2001:cafe:42::/56"), subnet: parsePrefix("2001:cafe:42:57::/64") },
  ipMasq: true,
  forwardRules: true,
};
const golden = (name: string): string =>
  readFileSync(new URL(`../../testdata/iptables/${name}`, import.meta.url), "utf8");
const plan = (listing: string, change: Partial<MasqueradeConfig> = {}, family: 4 | 6 = 4): string =>
  planRestore(listing, wantedChains({ ...CONFIG, ...change }, family));

/** What Flannel's daemon made, with foreign rules around it. */
const FLANNELS = golden("nft-v4.save");

describe("planRestore()", () => {
  for (const family of [4, 6] as const) {
    it(`prints what testdata/iptables/make.sh gave to iptables-restore, IPv${family}`, () =>
      assert.equal(plan("", {}, family), golden(`v${family}.restore`)));

    for (const variant of ["nft", "legacy"]) {
      it(`has nothing to change where Flannel's own daemon has been, iptables-${variant} and IPv${family}`, () =>
        assert.equal(plan(golden(`${variant}-v${family}.save`), {}, family), ""));
      it(`knows its own rules again as iptables-${variant} lists them, IPv${family}`, () => {
        assert.equal(plan(golden(`${variant}-v${family}.restored`), {}, family), "");
        const ours = (text: string): string[] => text.split("\n").filter((line) => /^-A.*(FLANNEL|flannel)/.test(line));
        assert.deepEqual(ours(golden(`${variant}-v${family}.restored`)), ours(golden(`${variant}-v${family}.save`)));
      });
    }
  }

  const jump = '-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG\n';
  const accept = '-A FLANNEL-FWD -s 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT\n';
  for (const [what, from, to] of [
    ["a rule is gone", accept, ""],
    ["a rule is doubled", accept, accept + accept],
    ["a foreign rule stands in a chain", accept, `-A FLANNEL-FWD -s 10.5.9.0/24 -j DROP\n${accept}`],
    ["two rules have changed places", /(-A FLANNEL-POSTRTG -s .*\n)(-A FLANNEL-POSTRTG ! -s .*\n)/, "$2$1"],
    ["the jump is gone", jump, ""],
    ["the jump is doubled", jump, jump + jump],
    ["there is another jump beside it", jump, `-A POSTROUTING -j FLANNEL-POSTRTG\n${jump}`],
    ["a chain is gone", /(:FLANNEL-POSTRTG.*|-A (FLANNEL-POSTRTG|.* -j FLANNEL-POSTRTG).*)\n/g, ""],
    ["the subnet was another", /10\.5\.67\.0/g, "10.5.68.0"],
    ["the network was another", /10\.5\.0\.0\/16/g, "10.9.0.0/16"],
    ["ports were not drawn at random", / --random-fully/g, ""],
    ["the mark is compared exactly", "0x4000/0x4000", "0x4000"],
  ] as const)
    it(`repairs it when ${what}, and leaves foreign rules`, () => {
      const damaged = FLANNELS.replace(from, to);
      assert.notEqual(damaged, FLANNELS);
      const text = plan(damaged);
      assert.notEqual(text, "");
      const iptables = new FakeIptables(4, damaged);
      iptables.apply(text);
      assert.equal(plan(iptables.text()), "");
      assertForeignKept(FLANNELS, iptables.text());
    });

  it("changes only the table that differs", () => {
    assert.doesNotMatch(plan(FLANNELS.replace(accept, "")), /\*nat/);
    assert.equal(plan(FLANNELS.replace(jump, "")), `*nat\n${jump}COMMIT\n`);
  });

  it("removes a part that is switched off, and everything when nothing is wanted", () => {
    const after = (listing: string, text: string): string => {
      const iptables = new FakeIptables(4, listing);
      iptables.apply(text);
      assertForeignKept(listing, iptables.text());
      return iptables.text();
    };
    const noMasq = after(FLANNELS, plan(FLANNELS, { ipMasq: false }));
    assert.doesNotMatch(noMasq, /POSTRTG|flanneld masq/);
    assert.match(noMasq, /FORWARD .*FLANNEL-FWD/);
    const noForward = after(FLANNELS, plan(FLANNELS, { forwardRules: false }));
    assert.doesNotMatch(noForward, /FLANNEL-FWD/);
    assert.doesNotMatch(after(FLANNELS, planRestore(FLANNELS, [])), /FLANNEL|flannel/);
    // The mistake of Flannel's own clean-up: chains in the wrong table, and jumps from anywhere.
    const strewn = FLANNELS.replace(jump, `${jump}-A OUTPUT -d 10.1.1.1/32 -g FLANNEL-POSTRTG\n`);
    assert.doesNotMatch(after(strewn, planRestore(strewn, [])), /FLANNEL|flannel/);
    assert.equal(planRestore("", []), "");
  });

  it("replaces the rules that Flannel before v0.21 had in the built-in chains", () => {
    const old =
      '*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 10.5.0.0/16 -d 10.5.0.0/16 -m comment --comment "flanneld masq" -j RETURN\n' +
      '-A POSTROUTING -s 10.5.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE\nCOMMIT\n';
    const iptables = new FakeIptables(4, old);
    iptables.apply(plan(old));
    assert.equal(iptables.text().match(/-A POSTROUTING/g)?.length, 1);
    assert.equal(plan(iptables.text()), "");
  });

  it("leaves the destinations of the list alone, before the first rule that masquerades pods, each family its own", () => {
    const nonMasquerade = ["10.0.0.0/8", "2001:db8::/32", "192.168.0.0/16", "10.0.0.0/8"].map(parsePrefix);
    const lines = (family: 4 | 6): string[] =>
      plan("", { nonMasquerade }, family)
        .split("\n")
        .filter((line) => line.startsWith("-A FLANNEL-POSTRTG"));
    const comment = '-m comment --comment "flanneld masq"';
    assert.deepEqual(lines(4).slice(4, 6), [
      `-A FLANNEL-POSTRTG -s 10.5.0.0/16 -d 10.0.0.0/8 ${comment} -j RETURN`,
      `-A FLANNEL-POSTRTG -s 10.5.0.0/16 -d 192.168.0.0/16 ${comment} -j RETURN`,
    ]);
    assert.match(lines(4)[6] ?? "", /! -d 224\.0\.0\.0\/4 .* -j MASQUERADE --random-fully$/);
    assert.equal(lines(4).length, 8);
    assert.deepEqual(lines(6)[4], `-A FLANNEL-POSTRTG -s 2001:cafe:42::/56 -d 2001:db8::/32 ${comment} -j RETURN`);
  });

  it("leaves the ports alone when asked to, and a family that the config has not", () => {
    assert.doesNotMatch(plan("", { randomFully: false }), /random/);
    assert.deepEqual(wantedChains({ ipMasq: true, forwardRules: true }, 4), []);
  });

  it("brings whatever was done to its rules back in one step, and touches no other", () => {
    const rules = FLANNELS.split("\n").filter((line) => /^-A/.test(line));
    const nat = rules.filter((line) => /FLANNEL-POSTRTG|POSTROUTING/.test(line));
    const foreign = fc.constantFrom(
      "-A POSTROUTING -o eth9 -j MASQUERADE",
      "-A FLANNEL-POSTRTG -j ACCEPT",
      "-A OUTPUT -j ACCEPT",
    );
    const damaged = fc.array(fc.oneof(fc.constantFrom(...nat), foreign), { maxLength: 16 }).map((lines) => {
      const heads = ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"].map((chain) => `:${chain} ACCEPT [0:0]`);
      return ["*nat", ...heads, ":FLANNEL-POSTRTG - [0:0]", ":KUBE-POSTROUTING - [0:0]", ...lines, "COMMIT", ""].join(
        "\n",
      );
    });
    fc.assert(
      fc.property(damaged, fc.boolean(), (listing, ipMasq) => {
        const iptables = new FakeIptables(4, listing);
        iptables.apply(plan(listing, { ipMasq, forwardRules: false }));
        assert.equal(plan(iptables.text(), { ipMasq, forwardRules: false }), "");
        assertForeignKept(listing, iptables.text());
        assert.equal(/FLANNEL/.test(iptables.text()), ipMasq);
      }),
      { numRuns: 500 },
    );
  });
});

function assertForeignKept(before: string, after: string): void {
  const foreign = (text: string): string[] =>
    text.split("\n").filter((line) => /^(-A|:)/.test(line) && !/FLANNEL|flannel/.test(line));
  for (const line of new Set(foreign(before)))
    assert.deepEqual(
      foreign(after).filter((l) => l === line).length,
      foreign(before).filter((l) => l === line).length,
      line,
    );
}
