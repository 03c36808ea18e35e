import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { mountScript } from "./mount.ts";
import { shellWord } from "./process.ts";

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

test("shellWord: the shell reads back what went in", () => {
  for (const text of ["", "plain", "two words", "it's", "$HOME `id` \\ \n *", "-n"]) {
    const { stdout } = spawnSync("sh", ["-c", `printf %s ${shellWord(text)}`], { encoding: "utf8" });
    assert.equal(stdout, text);
  }
});
