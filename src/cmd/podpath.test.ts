import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const PODPATH = fileURLToPath(new URL("./podpath.js", import.meta.url));

test("a reader who leaves ends podpath without a stack trace", async () => {
  const child = spawn(process.execPath, [PODPATH, "--help"], { stdio: ["ignore", "pipe", "pipe"] });
  child.stdout.destroy();
  const [errors, [code]] = await Promise.all([text(child.stderr), once(child, "close")]);
  assert.equal(errors, "");
  assert.equal(code, 141);
});
