import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { mountScript } from "./mount.ts";
import { shellWord, unshareArgv } from "./process.ts";

function cannotMount(): string | false {
  const { status, stderr } = spawnSync("unshare", ["--mount", "true"], { encoding: "utf8" });
  return status === 0 ? false : `no mount namespaces here: ${stderr?.trim()}`;
}

test("mountScript spells the lines that mount(8) is called with", () => {
  const script = mountScript([
    { kind: "tmpfs", target: "/run" },
    { kind: "bind", source: "/a b", target: "/c" },
    { kind: "sysfs", target: "/sys", optional: true },
  ]);
  assert.deepEqual(script.split("\n"), [
    "mkdir -p /run",
    "mount -t tmpfs -o mode=755 tmpfs /run",
    "mkdir -p /c",
    "mount --rbind '/a b' /c",
    "{ mount -t sysfs sysfs /sys; } 2>/dev/null || :",
  ]);
});

test("a shadow hides nothing, and is ours to write to", { skip: cannotMount() }, () => {
  const machine = mkdtempSync(join(tmpdir(), "podpath-shadow-"));
  try {
    mkdirSync(join(machine, "cni"));
    writeFileSync(join(machine, "cni", "theirs"), "");
    writeFileSync(join(machine, "passwd"), "root\n");
    symlinkSync("../../etc/hostname", join(machine, "link"));
    const script = [
      "set -e",
      mountScript([
        { kind: "tmpfs", target: "/run" },
        { kind: "shadow", target: machine, own: "cni/net.d" },
      ]),
      `cd ${machine}`,
      "cat passwd; readlink link; find cni; touch cni/net.d/ours ours; rm -r cni",
    ].join("\n");
    const [program = "", ...args] = unshareArgv(["mount"], ["sh", "-c", script]);
    const { stdout, stderr, status } = spawnSync(program, args, { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.equal(stdout, "root\n../../etc/hostname\ncni\ncni/net.d\n");
    assert.deepEqual(readdirSync(machine).sort(), ["cni", "link", "passwd"]);
    assert.deepEqual(readdirSync(join(machine, "cni")), ["theirs"]);
  } finally {
    rmSync(machine, { recursive: true });
  }
});

test("shellWord: the shell reads back what went in", () => {
  for (const text of ["", "plain", "two words", "it's", "$HOME `id` \\ \n *", "-n"]) {
    const { stdout } = spawnSync("sh", ["-c", `printf %s ${shellWord(text)}`], { encoding: "utf8" });
    assert.equal(stdout, text);
  }
});
