import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

/** What a process that logs `fields` writes to its stderr. */
function logged(fields: object): Record<string, unknown> {
  const module = JSON.stringify(new URL("./log.js", import.meta.url).href);
  const code = `import { createLog } from ${module}; createLog("test", "info").warn(${JSON.stringify(fields)}, "said");`;
  const { stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", code], { encoding: "utf8" });
  return JSON.parse(stderr);
}

test("createLog() shows which key of the store a line is about, and no secret", () => {
  const { key, password, options, tls } = logged({
    key: "/coreos.com/network/subnets/10.244.1.0-24",
    password: "secret",
    options: { password: "secret", tls: { key: "secret" } },
    tls: { key: "secret" },
  });
  assert.equal(key, "/coreos.com/network/subnets/10.244.1.0-24");
  assert.doesNotMatch(JSON.stringify([password, options, tls]), /secret/);
});
