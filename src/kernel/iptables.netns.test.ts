import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { createUnnamedNetNs, Iptables, IptablesError, legacyTables } from "./index.ts";

const isThere = ["iptables-nft", "iptables-legacy"].every((name) => spawnSync(name, ["--version"]).status === 0);
const skip =
  process.getuid?.() !== 0 ? "needs root" : isThere ? false : "iptables is not installed (apt-get install iptables)";

const dir = mkdtempSync(join(tmpdir(), "podpath-iptables-"));
after(() => rmSync(dir, { recursive: true }));

/** Runs `f` with these variables, and puts back what was. */
async function withEnv<T>(env: Record<string, string>, f: () => Promise<T>): Promise<T> {
  const before = Object.fromEntries(Object.keys(env).map((name) => [name, process.env[name]]));
  Object.assign(process.env, env);
  try {
    return await f();
  } finally {
    for (const [name, value] of Object.entries(before))
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
  }
}

/** A folder with programs called iptables, iptables-save and iptables-restore, each this shell script. */
function fakePrograms(name: string, script: string): string {
  const folder = mkdtempSync(join(dir, `${name}-`));
  for (const program of ["iptables", "iptables-save", "iptables-restore"]) {
    writeFileSync(join(folder, program), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, program), 0o755);
  }
  return folder;
}

const RULE = "*filter\n:PODPATH-TEST - [0:0]\n-A PODPATH-TEST -j RETURN\nCOMMIT\n";

describe("Iptables", { skip }, () => {
  for (const variant of ["nft", "legacy"] as const)
    it(`lists and changes rules in its own namespace with iptables-${variant}, and tells its version`, async () => {
      using ns = createUnnamedNetNs();
      const iptables = await Iptables.open(4, { ns, variant });
      assert.ok(iptables);
      assert.equal(iptables.variant, variant);
      assert.match(iptables.version, /^\d+\.\d+\.\d+$/);
      assert.equal(iptables.hasRandomFully, true);
      assert.equal(await iptables.save(), "");
      await iptables.restore(RULE);
      assert.match(await iptables.save(), /^-A PODPATH-TEST -j RETURN$/m);
      assert.deepEqual(legacyTables(4, ns), variant === "legacy" ? ["filter"] : []);
      assert.deepEqual(legacyTables(6, ns), []);
      await assert.rejects(
        iptables.restore("*filter\n-A NO-SUCH-CHAIN -j RETURN\nCOMMIT\n"),
        (error) =>
          error instanceof IptablesError && /Cannot change the rules with .*-A NO-SUCH-CHAIN/.test(error.message),
      );
    });

  it("takes the system's, whichever that is", async () => {
    using ns = createUnnamedNetNs();
    for (const variant of ["nft", "legacy"] as const) {
      const folder = mkdtempSync(join(dir, "alternatives-"));
      for (const program of ["iptables", "iptables-save", "iptables-restore"])
        symlinkSync(`/usr/sbin/${program.replace("iptables", `iptables-${variant}`)}`, join(folder, program));
      const iptables = await withEnv({ PATH: folder }, () => Iptables.open(4, { ns }));
      assert.equal(iptables.variant, variant);
      await iptables.restore(RULE);
      assert.match(await iptables.save(), /PODPATH-TEST/);
    }
  });

  it("waits for whoever holds the lock", async () => {
    using ns = createUnnamedNetNs();
    const lock = join(dir, "xtables.lock");
    const script = "echo locked; read -r line";
    const holder: ChildProcess = spawn("flock", [lock, "sh", "-c", script], { stdio: ["pipe", "pipe", "inherit"] });
    assert.ok(holder.stdout);
    await once(holder.stdout, "data");
    const iptables = await Iptables.open(4, { ns, variant: "legacy" });
    let isDone = false;
    const restored = withEnv({ XTABLES_LOCKFILE: lock }, async () => iptables?.restore(RULE)).then(() => {
      isDone = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(isDone, false);
    holder.stdin?.end("\n");
    await restored;
    assert.match((await iptables?.save()) ?? "", /PODPATH-TEST/);
  });
});

describe("Iptables, of programs that are not as they should be", () => {
  it("names what is missing, and what installs it", async () => {
    await withEnv({ PATH: "/nonexistent" }, async () => {
      assert.equal(await Iptables.open(4, { variant: "legacy" }), undefined);
      await assert.rejects(
        Iptables.open(6),
        (error) =>
          error instanceof IptablesError &&
          /of ip6tables, ip6tables-save, ip6tables-restore not all are in PATH .*apt-get install iptables/.test(
            error.message,
          ),
      );
    });
  });

  it("takes one that does not name its variant for what there was before there were two", async () => {
    const folder = fakePrograms("old", 'echo "iptables v1.4.21"');
    const old = await withEnv({ PATH: folder }, () => Iptables.open(4));
    assert.deepEqual([old.variant, old.version, old.hasRandomFully], ["legacy", "1.4.21", false]);
  });

  it("knows which versions draw ports at random", async () => {
    for (const [version, has] of [
      ["1.6.1", false],
      ["1.6.2", true],
      ["1.8.0", true],
      ["2.0", true],
    ] as const) {
      const folder = fakePrograms("version", `echo "iptables v${version} (nf_tables)"`);
      const iptables = await withEnv({ PATH: folder }, () => Iptables.open(4));
      assert.deepEqual([iptables.hasRandomFully, iptables.variant], [has, "nft"], version);
    }
  });

  it("says what a program said that refuses", async () => {
    const script =
      'case $1 in --version) echo "iptables v1.8.9 (legacy)";; *) echo "# a remark" >&2; echo "no luck" >&2; exit 4;; esac';
    const folder = fakePrograms("refuses", script);
    const iptables = await withEnv({ PATH: `${folder}:/bin` }, () => Iptables.open(4));
    await assert.rejects(iptables.save(), /Cannot list the rules with .*iptables-save: no luck/);
    const broken = fakePrograms("broken", "echo broken >&2; exit 1");
    await assert.rejects(
      withEnv({ PATH: broken }, () => Iptables.open(4)),
      /Cannot ask .* for its version: broken/,
    );
  });
});
