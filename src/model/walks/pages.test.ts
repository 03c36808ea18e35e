import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

test("docs/walks says what the data files say, and every file that it links to is there", () => {
  const root = fileURLToPath(new URL("../../../", import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, ["scripts/walk-pages.mjs", "--check"], {
    cwd: root,
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
});
