import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { removeStateDir } from "./end.ts";
import { makeStateDir, stateDir } from "./state-dir.ts";

test("the folder of a lab that ended is removed, unless the next lab of that name holds it", async () => {
  const root = mkdtempSync(join(tmpdir(), "podpath-end-"));
  try {
    const dir = stateDir("lab", root);
    makeStateDir(dir);
    writeFileSync(join(dir.path, "supervisor.log"), "");
    const next = spawn("flock", [dir.path, "sh", "-c", "echo locked; read line"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(next.stdout, "data");
    await removeStateDir(dir);
    assert.ok(existsSync(join(dir.path, "supervisor.log")));
    next.stdin.end();
    await once(next, "exit");
    await removeStateDir(dir);
    assert.ok(!existsSync(dir.path));
    // What is gone already is content, and is not made.
    await removeStateDir(dir);
    assert.ok(!existsSync(dir.path));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
