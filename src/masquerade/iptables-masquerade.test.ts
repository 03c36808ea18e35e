import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it, type TestContext } from "node:test";
import { pino } from "pino";
import { parsePrefix } from "../formats/netip/index.ts";
import { IptablesMasquerade, type IptablesMasqueradeOptions, type MasqueradeConfig } from "./index.ts";
import { FakeIptables } from "./testing/fake-iptables.ts";

const CONFIG: MasqueradeConfig = {
  ipv4: { network: parsePrefix("10.5.0.0/16"), subnet: parsePrefix("10.5.67.0/24") },
  ipMasq: true,
  forwardRules: true,
};
const RESYNC_MS = 5000;
const FLANNELS = readFileSync(new URL("../../testdata/iptables/legacy-v4.save", import.meta.url), "utf8");

function keep(iptables: FakeIptables, more: Partial<IptablesMasqueradeOptions> = {}): IptablesMasquerade {
  const log = pino({ level: "silent" });
  return new IptablesMasquerade({ doors: [iptables], config: CONFIG, log, resyncMs: RESYNC_MS, ...more });
}

/** Lets what the timers started come to its end: each call of the fake is a few turns. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

/** Time that moves when it is told to. */
function clock(t: TestContext): (ms: number) => Promise<void> {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let now = 0;
  t.mock.method(performance, "now", () => now);
  return async (ms) => {
    now += ms;
    t.mock.timers.tick(ms);
    await settle();
  };
}

describe("IptablesMasquerade", () => {
  it("writes by one restore, proves it by a save, and from then on only saves: one in each period", async (t) => {
    const pass = clock(t);
    const iptables = new FakeIptables();
    using masquerade = keep(iptables);
    await masquerade.watch();
    assert.deepEqual(iptables.calls.splice(0), ["save", "restore", "save"]);
    await pass(RESYNC_MS - 1);
    assert.deepEqual(iptables.calls, []);
    for (let period = 0; period < 3; period++) await pass(period === 0 ? 1 : RESYNC_MS);
    assert.deepEqual(iptables.calls, ["save", "save", "save"]);
    assert.equal(masquerade.isInPlace(), true);
  });

  it("takes over what a Flannel left, without writing", async () => {
    const iptables = new FakeIptables(4, FLANNELS);
    using masquerade = keep(iptables);
    assert.equal(await masquerade.hasAny(), true);
    assert.equal(await masquerade.ensure(), false);
    assert.equal(iptables.text().includes("KUBE-POSTROUTING"), true);
    assert.equal(await keep(new FakeIptables()).hasAny(), false);
  });

  it("restores in the next period what somebody took away, and counts it", async (t) => {
    const pass = clock(t);
    let restored = 0;
    const iptables = new FakeIptables();
    using masquerade = keep(iptables, { onRestored: () => restored++ });
    await masquerade.watch();
    const good = iptables.text();
    for (const damage of ["-F FLANNEL-POSTRTG", "-I FLANNEL-POSTRTG -j ACCEPT", "-F POSTROUTING"]) {
      iptables.apply(`*nat\n${damage}\nCOMMIT\n`);
      await pass(RESYNC_MS);
      assert.equal(iptables.text(), good);
    }
    assert.equal(restored, 3);
  });

  it("looks at once when the kernel announces a change, at most once a second, and misses none", async (t) => {
    const pass = clock(t);
    let changed = (): void => {};
    let isWatching = true;
    const iptables = new FakeIptables();
    const masquerade = keep(iptables, {
      watchTables: (onChange) => {
        changed = onChange;
        return { [Symbol.dispose]: () => (isWatching = false) };
      },
    });
    await masquerade.watch();
    iptables.calls.length = 0;
    await pass(1000);
    iptables.apply("*nat\n-F FLANNEL-POSTRTG\nCOMMIT\n");
    changed();
    await pass(0);
    assert.deepEqual(iptables.calls.splice(0), ["save", "restore", "save"]);
    for (let i = 0; i < 50; i++) {
      changed();
      await pass(10);
    }
    iptables.apply("*nat\n-F FLANNEL-POSTRTG\nCOMMIT\n");
    changed();
    await pass(499);
    assert.deepEqual(iptables.calls, []);
    await pass(1);
    assert.deepEqual(iptables.calls.splice(0), ["save", "restore", "save"]);
    masquerade[Symbol.dispose]();
    changed();
    await pass(10 * RESYNC_MS);
    assert.deepEqual([iptables.calls, isWatching], [[], false]);
  });

  it("is not in place while it cannot look, tries on, and is again when it can", async (t) => {
    const pass = clock(t);
    const iptables = new FakeIptables();
    using masquerade = keep(iptables);
    await masquerade.watch();
    iptables.failure = new Error("Another app is currently holding the xtables lock");
    await pass(RESYNC_MS);
    assert.equal(masquerade.isInPlace(), false);
    await pass(RESYNC_MS);
    iptables.failure = undefined;
    await pass(RESYNC_MS);
    assert.equal(masquerade.isInPlace(), true);
  });

  it("fails when iptables-restore says yes and nothing is there", async () => {
    const iptables = new FakeIptables();
    iptables.isDeaf = true;
    using masquerade = keep(iptables);
    await assert.rejects(async () => masquerade.watch(), /written and are not there.*:FLANNEL-POSTRTG/);
    assert.equal(masquerade.isInPlace(), false);
  });

  it("never runs two at the same time", async () => {
    const iptables = new FakeIptables();
    using masquerade = keep(iptables);
    assert.deepEqual(await Promise.all([masquerade.ensure(), masquerade.ensure()]), [true, false]);
    assert.deepEqual(iptables.calls, ["save", "restore", "save", "save"]);
  });

  it("replaces the rules of another network and subnet, and removes everything of its own", async () => {
    const iptables = new FakeIptables(4, FLANNELS);
    const foreign = (): string[] =>
      iptables
        .text()
        .split("\n")
        .filter((line) => !/FLANNEL|flannel/.test(line));
    const before = foreign();
    const ipv4 = { network: parsePrefix("10.9.0.0/16"), subnet: parsePrefix("10.9.1.0/24") };
    using masquerade = keep(iptables, { config: { ...CONFIG, ipv4 } });
    await masquerade.ensure();
    assert.doesNotMatch(iptables.text(), /10\.5\./);
    await masquerade.cleanup();
    await masquerade.cleanup();
    assert.doesNotMatch(iptables.text(), /FLANNEL|flannel/);
    assert.deepEqual(foreign(), before);
  });

  it("refuses a config with a family that it has no iptables for", () => {
    const ipv6 = { network: parsePrefix("2001:cafe:42::/56"), subnet: parsePrefix("2001:cafe:42:57::/64") };
    assert.throws(() => keep(new FakeIptables(4), { config: { ...CONFIG, ipv6 } }), /No iptables for IPv6/);
  });
});
