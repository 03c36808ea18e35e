import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { childrenOf, enterArgv, isRunning, processId, unshareArgv } from "./process.ts";

test("unshareArgv: a PID namespace forks, dies with its parent and has its own /proc", () => {
  assert.deepEqual(unshareArgv(["user", "mount", "net", "pid"], ["sh", "-c", ":"]), [
    ...["unshare", "--user", "--map-root-user", "--mount", "--net"],
    ...["--pid", "--fork", "--kill-child", "--mount-proc", "--", "sh", "-c", ":"],
  ]);
});

test("enterArgv: a user namespace is entered with the credentials at hand", () => {
  assert.deepEqual(enterArgv(7, ["user", "net"], ["true"]), [
    ...["nsenter", "--target", "7", "--user", "--net", "--preserve-credentials", "--", "true"],
  ]);
});

test("a process is itself while it runs, and nobody once it has ended", async () => {
  const child = spawn("sleep", ["60"]);
  const id = processId(child.pid ?? 0);
  assert.ok(id);
  assert.ok(isRunning(id));
  assert.ok(!isRunning({ ...id, startTime: "1" }));
  assert.ok(childrenOf(process.pid).includes(id.pid));
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.ok(!isRunning(id));
  assert.ok(!childrenOf(process.pid).includes(id.pid));
  assert.equal(processId(id.pid), undefined);
});
