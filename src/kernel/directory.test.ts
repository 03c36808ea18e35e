import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { makeDirectories } from "./directory.ts";

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "podpath-directory-"));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

/** In a process of its own, which is ended if it spins: a synchronous loop could not be ended from here. */
function codeOf(path: string): string {
  const script = `import { makeDirectories } from ${JSON.stringify(new URL("./directory.js", import.meta.url).href)};
    try { makeDirectories(process.argv[1]); } catch (error) { console.log(error.code); }`;
  const { stdout, signal } = spawnSync(process.execPath, ["--input-type=module", "-e", script, path], {
    timeout: 30_000,
    encoding: "utf8",
  });
  assert.equal(signal, null, `making ${path} did not end`);
  return stdout.trim();
}

test("every missing folder is made, with the mode, and again is no error", (t) => {
  const path = join(folder(t), "a", "b", "c");
  makeDirectories(path, 0o700);
  makeDirectories(path, 0o755);
  assert.equal(statSync(path).mode & 0o777, 0o700);
  assert.equal(statSync(join(path, "..")).mode & 0o777, 0o700);
});

test("a symbolic link to a folder is a folder", (t) => {
  const root = folder(t);
  symlinkSync(root, join(root, "link"));
  makeDirectories(join(root, "link", "a"));
  makeDirectories(join(root, "link"));
  assert.ok(statSync(join(root, "a")).isDirectory());
});

test("a file on the way, or at the end, is an error", (t) => {
  const root = folder(t);
  writeFileSync(join(root, "file"), "");
  assert.throws(() => makeDirectories(join(root, "file")), { code: "EEXIST" });
  assert.throws(() => makeDirectories(join(root, "file", "a")), { code: "ENOTDIR" });
});

test("a folder that takes no folders is an error, not an endless loop", () => {
  assert.equal(codeOf("/proc/nothing/here"), "ENOENT");
  assert.equal(codeOf("/proc/self/nothing"), "ENOENT");
});

test("a link that leads nowhere is an error, not an endless loop", (t) => {
  const root = folder(t);
  symlinkSync(join(root, "nothing", "at", "all"), join(root, "link"));
  assert.equal(codeOf(join(root, "link", "a")), "ENOENT");
});
