import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { findProgram, type ProgramOptions, type ProgramResult, runProgram } from "./index.ts";

const sh = (script: string, options: Partial<ProgramOptions> = {}): Promise<ProgramResult> =>
  runProgram("/bin/sh", { args: ["-c", script], timeoutMs: 20_000, env: { PATH: process.env.PATH ?? "" }, ...options });

describe("runProgram()", () => {
  it("hands on input and environment, and gives back both outputs and the status", async () => {
    const result = await sh('cat; echo "$X" >&2; exit 3', { input: "né\n", env: { PATH: "/bin:/usr/bin", X: "y z" } });
    assert.deepEqual(result, { exitCode: 3, isTimedOut: false, stdout: "né\n", stderr: "y z\n" });
  });

  it("carries megabytes in and out at the same time, and of errors the beginning", async () => {
    const input = "0123456789abcdef".repeat(1 << 17);
    const { stdout, stderr } = await sh("head -c 300000 /dev/zero >&2; cat", { input });
    assert.equal(stdout, input);
    assert.ok(stderr.length >= 65_536 && stderr.length < 80_000, String(stderr.length));
  });

  it("runs several at once, and leaves the event loop free", async () => {
    const timer = new Promise((resolve) => setTimeout(resolve, 1, "the timer"));
    const programs = Promise.all([1, 2, 3].map((n) => sh(`sleep 0.2; exit ${n}`)));
    assert.equal(await Promise.race([timer, programs]), "the timer");
    assert.deepEqual(
      (await programs).map(({ exitCode }) => exitCode),
      [1, 2, 3],
    );
  });

  it("waits for one that has closed its outputs", async () => {
    assert.equal((await sh("exec >&- 2>&-; sleep 0.1; exit 7")).exitCode, 7);
  });

  it("says so when a signal ended it, and ends what takes too long, whoever else holds its outputs", async () => {
    assert.deepEqual(await sh("kill -TERM $$"), { exitCode: undefined, isTimedOut: false, stdout: "", stderr: "" });
    // What it has started holds the pipe longer than that.
    const { exitCode, isTimedOut } = await sh("sleep 2 & sleep 30", { timeoutMs: 100 });
    assert.deepEqual([exitCode, isTimedOut], [undefined, true]);
  });

  it("tells what cannot be executed", async () => {
    await assert.rejects(runProgram("/nonexistent", { timeoutMs: 1000 }), /Cannot execute \/nonexistent: .*ENOENT/);
  });
});

describe("findProgram()", () => {
  it("takes the first file in PATH that can be executed", () => {
    const dir = mkdtempSync(join(tmpdir(), "podpath-program-"));
    try {
      const path = ["a", "b", "c", "d"].map((name) => join(dir, name));
      for (const each of path) mkdirSync(each);
      const [a = "", b = "", c = "", d = ""] = path.map((each) => join(each, "podpath-prog"));
      mkdirSync(a);
      for (const file of [b, c, d]) writeFileSync(file, "");
      for (const file of [c, d]) chmodSync(file, 0o755);
      assert.equal(findProgram("podpath-prog", path.join(":")), c);
      assert.equal(findProgram("podpath-no-such", path.join(":")), undefined);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
