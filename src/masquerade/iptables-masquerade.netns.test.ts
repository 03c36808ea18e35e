import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { pino } from "pino";
import { parsePrefix } from "../formats/netip/index.ts";
import {
  createUnnamedNetNs,
  Iptables,
  type IptablesVariant,
  inNs,
  type NetNs,
  Nft,
  watchNfTables,
} from "../kernel/index.ts";
import { findMasquerade, IptablesMasquerade, type Masquerade, type MasqueradeConfig, NftMasquerade } from "./index.ts";
import { Router } from "./testing/router.ts";

const LOG = pino({ level: "silent" });
const CONFIG: MasqueradeConfig = {
  ipv4: { network: parsePrefix("10.5.0.0/16"), subnet: parsePrefix("10.5.67.0/24") },
  ipv6: { network: parsePrefix("2001:cafe:42::/56"), subnet: parsePrefix("2001:cafe:42:57::/64") },
  ipMasq: true,
  forwardRules: true,
};
const VARIANTS: readonly IptablesVariant[] = ["nft", "legacy"];
const golden = (name: string): string =>
  inOrder(readFileSync(new URL(`../../testdata/iptables/${name}`, import.meta.url), "utf8"));

/** iptables-legacy-save lists its tables in the order in which they were last made. */
function inOrder(listing: string): string {
  return listing
    .split(/^(?=# Generated)/m)
    .sort()
    .join("");
}

const skip = whyNot();

/** Why these tests cannot run here, or false. */
function whyNot(): string | false {
  if (process.getuid?.() !== 0) return "needs root, to make network namespaces";
  for (const program of ["iptables-nft", "iptables-legacy"])
    if (spawnSync(program, ["--version"]).status !== 0) return `${program} is not installed (apt-get install iptables)`;
  return false;
}

function sh(ns: NetNs, script: string): string {
  const { status, stdout, stderr } = inNs(ns, () => spawnSync("sh", ["-ec", script], { encoding: "utf8" }));
  assert.equal(status, 0, `${script}: ${stderr}`);
  return stdout;
}

/** Both families' rules, without the dates. */
function saved(ns: NetNs, variant: IptablesVariant): { 4: string; 6: string } {
  const save = (program: string): string => inOrder(sh(ns, `${program}-${variant}-save`).replaceAll(/ on .*/g, ""));
  return { 4: save("iptables"), 6: save("ip6tables") };
}

async function doors(ns: NetNs, variant: IptablesVariant): Promise<Iptables[]> {
  const opened = await Promise.all(([4, 6] as const).map((family) => Iptables.open(family, { ns, variant })));
  return opened.map((door) => door ?? assert.fail(`no iptables-${variant}`));
}

async function inIptables(
  ns: NetNs,
  variant: IptablesVariant,
  change: Partial<MasqueradeConfig> = {},
): Promise<IptablesMasquerade> {
  const config = { ...CONFIG, ...change };
  return new IptablesMasquerade({ doors: await doors(ns, variant), config, log: LOG, resyncMs: 60_000 });
}

for (const variant of VARIANTS)
  describe(`IptablesMasquerade with iptables-${variant}`, { skip }, () => {
    it("makes exactly the recorded rules, in both families, and a second time nothing", async () => {
      using ns = createUnnamedNetNs();
      using masquerade = await inIptables(ns, variant);
      assert.equal(await masquerade.ensure(), true);
      const { 4: v4, 6: v6 } = saved(ns, variant);
      assert.deepEqual([v4, v6], [golden(`${variant}-v4.restored`), golden(`${variant}-v6.restored`)]);
      assert.equal(await masquerade.ensure(), false);
    });

    it("takes over what Flannel's daemon made, and leaves what is foreign", async () => {
      using ns = createUnnamedNetNs();
      const program = `iptables-${variant}`;
      sh(ns, `${program}-restore <<'END'\n${golden(`${variant}-v4.save`)}END`);
      using masquerade = await inIptables(ns, variant);
      await masquerade.ensure();
      assert.equal(saved(ns, variant)[4], golden(`${variant}-v4.save`));
      sh(ns, `${program} -t nat -D FLANNEL-POSTRTG 3; ${program} -t nat -I FLANNEL-POSTRTG -j ACCEPT`);
      sh(ns, `${program} -A FORWARD -j FLANNEL-FWD`);
      assert.equal(await masquerade.ensure(), true);
      assert.equal(saved(ns, variant)[4], golden(`${variant}-v4.save`));
      await masquerade.cleanup();
      const foreign = golden(`${variant}-v4.save`)
        .split("\n")
        .filter((line) => !/FLANNEL|flannel/.test(line));
      assert.deepEqual(saved(ns, variant)[4].split("\n"), foreign);
    });

    it("leaves nothing of an earlier subnet or of a part that is switched off", async () => {
      using ns = createUnnamedNetNs();
      using before = await inIptables(ns, variant);
      await before.ensure();
      const ipv4 = { network: parsePrefix("10.9.0.0/16"), subnet: parsePrefix("10.9.1.0/24") };
      using moved = await inIptables(ns, variant, { ipv4 });
      await moved.ensure();
      assert.doesNotMatch(saved(ns, variant)[4], /10\.5\./);
      using noForward = await inIptables(ns, variant, { ipv4, forwardRules: false });
      await noForward.ensure();
      assert.doesNotMatch(saved(ns, variant)[4] + saved(ns, variant)[6], /FLANNEL-FWD/);
      using noMasq = await inIptables(ns, variant, { ipv4, ipMasq: false });
      await noMasq.ensure();
      assert.doesNotMatch(saved(ns, variant)[4] + saved(ns, variant)[6], /POSTRTG/);
    });
  });

describe("where iptables is nf_tables", { skip }, () => {
  it("a change is found when the kernel announces it, long before the period ends", async () => {
    using ns = createUnnamedNetNs();
    const restored = new EventTarget();
    const scopes = (["ip", "ip6"] as const).flatMap((family) => ["nat", "filter"].map((table) => ({ family, table })));
    using masquerade = new IptablesMasquerade({
      doors: await doors(ns, "nft"),
      config: CONFIG,
      log: LOG,
      resyncMs: 3_600_000,
      watchTables: (onChange) => watchNfTables(ns, onChange, scopes),
      onRestored: () => restored.dispatchEvent(new Event("restored")),
    });
    await masquerade.watch();
    const good = saved(ns, "nft");
    for (const damage of [
      "iptables-nft -t nat -F FLANNEL-POSTRTG",
      "iptables-nft -t nat -D POSTROUTING 1",
      "ip6tables-nft -A FLANNEL-FWD -j DROP",
      "nft flush ruleset",
    ]) {
      const event = once(restored, "restored");
      sh(ns, damage);
      await event;
      // A look that began before the damage may have seen one family's rules and not yet the other's.
      for (const end = performance.now() + 20_000; performance.now() < end; await delay(50))
        if (isDeepStrictEqual(saved(ns, "nft"), good)) break;
      assert.deepEqual(saved(ns, "nft"), good, damage);
    }
  });
});

describe("findMasquerade()", { skip }, () => {
  it("finds the rules of both daemons wherever they are, and removes them and nothing else", async () => {
    using ns = createUnnamedNetNs();
    using nft = Nft.open(ns);
    for (const variant of VARIANTS)
      for (const family of [4, 6])
        sh(
          ns,
          `${family === 4 ? "iptables" : "ip6tables"}-${variant}-restore <<'END'\n${golden(`${variant}-v${family}.save`)}END`,
        );
    using tables = new NftMasquerade(nft, CONFIG, LOG);
    tables.ensure();
    sh(ns, "nft add table ip flannel-ipv4-foreign");
    const { ours, left } = await findMasquerade({ ns, nft });
    assert.deepEqual(left, []);
    assert.deepEqual(
      ours.map(({ what }) => what),
      (["ip", "ip6"] as const).flatMap((ip) => [
        `table ${ip} flannel-ipv${ip === "ip" ? 4 : 6}`,
        `chain FLANNEL-POSTRTG of iptables-nft (table ${ip} nat)`,
        `chain FLANNEL-FWD of iptables-nft (table ${ip} filter)`,
        `chain FLANNEL-POSTRTG, FLANNEL-FWD of ${ip}tables-legacy`,
      ]),
    );
    for (const { remove } of ours) await remove();
    assert.deepEqual((await findMasquerade({ ns, nft })).ours, []);
    for (const variant of VARIANTS)
      for (const family of [4, 6] as const) {
        const foreign = golden(`${variant}-v${family}.save`)
          .split("\n")
          .filter((line) => !/FLANNEL|flannel/.test(line));
        assert.deepEqual(saved(ns, variant)[family].split("\n"), foreign);
      }
    assert.match(sh(ns, "nft list tables"), /flannel-ipv4-foreign/);
  });

  it("keeps what it is told to keep, and makes no table by looking", async () => {
    using ns = createUnnamedNetNs();
    using nft = Nft.open(ns);
    assert.deepEqual(await findMasquerade({ ns, nft }), { ours: [], left: [] });
    assert.equal(sh(ns, "nft list tables; cat /proc/net/ip_tables_names /proc/net/ip6_tables_names"), "");
    using legacy = await inIptables(ns, "legacy");
    await legacy.ensure();
    const keep = ([4, 6] as const).map((family) => ({ family, in: "iptables-legacy" as const }));
    assert.deepEqual((await findMasquerade({ ns, nft, keep })).ours, []);
    assert.equal((await findMasquerade({ ns, nft, keep: keep.slice(0, 1) })).ours.length, 1);
  });

  it("removes iptables-nft's chains without iptables' programs, as on a host whose Flannel ran in a container", async () => {
    using ns = createUnnamedNetNs();
    using nft = Nft.open(ns);
    sh(ns, `iptables-nft-restore <<'END'\n${golden("nft-v4.save")}END`);
    const path = process.env.PATH;
    process.env.PATH = "/nonexistent";
    try {
      for (const { remove } of (await findMasquerade({ ns, nft })).ours) await remove();
    } finally {
      process.env.PATH = path;
    }
    assert.doesNotMatch(saved(ns, "nft")[4], /FLANNEL|flannel/);
    assert.match(saved(ns, "nft")[4], /KUBE-POSTROUTING/);
  });

  it("looks through the programs where there is no nftables", async () => {
    using ns = createUnnamedNetNs();
    sh(ns, `iptables-nft-restore <<'END'\n${golden("nft-v4.save")}END`);
    const { ours } = await findMasquerade({ ns, nft: undefined });
    for (const { remove } of ours) await remove();
    assert.equal(ours.length, 1);
    assert.doesNotMatch(saved(ns, "nft")[4], /FLANNEL|flannel/);
  });
});

describe("what the outside sees of a pod", { skip }, () => {
  type Way = (ns: NetNs, config: MasqueradeConfig) => Masquerade | Promise<Masquerade>;
  const ways: readonly (readonly [string, Way])[] = [
    ["nft", (ns, config) => new NftMasquerade(Nft.open(ns), config, LOG)],
    ["iptables-nft", (ns, config) => inIptables(ns, "nft", config)],
    ["iptables-legacy", (ns, config) => inIptables(ns, "legacy", config)],
  ];

  for (const [name, make] of ways)
    it(`is the node, or the pod where the list says so, with ${name}`, async () => {
      await using router = await Router.start();
      const nonMasquerade = ["203.0.113.10/32", "2001:db8:9::10/128"].map(parsePrefix);
      assert.equal(router.seenFrom("203.0.113.9", 40_000)?.address, "10.5.67.2");
      using masquerade = await make(router.node, { ...CONFIG, nonMasquerade });
      await masquerade.ensure();
      const [v4, v6] = [router.seenFrom("203.0.113.9", 40_001), router.seenFrom("2001:db8:9::9", 40_002)];
      assert.deepEqual([v4?.address, v6?.address], ["203.0.113.1", "2001:db8:9::1"]);
      // One in 64,000 draws the port it had; two do not.
      assert.ok(v4?.port !== 40_001 || v6?.port !== 40_002);
      assert.deepEqual(router.seenFrom("203.0.113.10", 40_003), { address: "10.5.67.2", port: 40_003 });
      assert.deepEqual(router.seenFrom("2001:db8:9::10", 40_004), { address: "2001:cafe:42:57::2", port: 40_004 });

      using plain = await make(router.node, { ...CONFIG, randomFully: false });
      await plain.ensure();
      assert.deepEqual(router.seenFrom("203.0.113.9", 40_005), { address: "203.0.113.1", port: 40_005 });
      assert.deepEqual(router.seenFrom("203.0.113.10", 40_006), { address: "203.0.113.1", port: 40_006 });
    });

  it("is never the pod while the rules go from one way to the other", async () => {
    await using router = await Router.start();
    const { node } = router;
    using nft = Nft.open(node);
    using tables = new NftMasquerade(nft, CONFIG, LOG);
    using chains = await inIptables(node, "nft");
    tables.ensure();
    let port = 41_000;
    const assertMasqueraded = (): void => assert.equal(router.seenFrom("203.0.113.9", port++)?.address, "203.0.113.1");
    assertMasqueraded();
    await chains.ensure();
    assertMasqueraded();
    for (const { remove } of (await findMasquerade({ ns: node, nft, keep: [{ family: 4, in: "iptables-nft" }] })).ours)
      await remove();
    assertMasqueraded();
    tables.ensure();
    assertMasqueraded();
    await chains.cleanup();
    assertMasqueraded();
  });

  it("passes a FORWARD policy of drop by iptables' chain, which tables of our own cannot", async () => {
    await using router = await Router.start();
    router.run("iptables-nft -P FORWARD DROP");
    using masquerade = await inIptables(router.node, "nft");
    await masquerade.ensure();
    assert.equal(router.seenFrom("203.0.113.9", 42_000)?.address, "203.0.113.1");
  });
});
