import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { CNI_ERROR, CniError } from "../formats/cni/index.ts";
import { executePlugin } from "./execute.ts";

const folder = mkdtempSync(join(tmpdir(), "podpath-execute-"));
after(() => rmSync(folder, { recursive: true }));

const scripts = {
  "writes-itself": "exec yes",
  "writes-errors": "exec yes >&2",
  // `yes` outlives the plugin, and holds its stdout.
  "has-a-child-that-writes": "yes & wait",
};
for (const [type, script] of Object.entries(scripts))
  test(`a plugin that never stops writing is ended: ${type}`, async () => {
    writeFileSync(join(folder, type), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    await assert.rejects(
      executePlugin({ type, path: [folder], env: {}, stdin: "{}", cniVersion: "1.0.0", log: () => {} }),
      (error) =>
        error instanceof CniError &&
        error.code === CNI_ERROR.io &&
        error.message.includes(type) &&
        /wrote more than 8388608 bytes and was ended/.test(error.message),
    );
  });
