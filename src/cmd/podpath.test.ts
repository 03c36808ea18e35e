import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const PODPATH = fileURLToPath(new URL("./podpath.js", import.meta.url));
const CNI_PLUGIN = fileURLToPath(new URL("./cni-plugin.js", import.meta.url));

test("a reader who leaves ends podpath without a stack trace", async () => {
  const child = spawn(process.execPath, [PODPATH, "--help"], { stdio: ["ignore", "pipe", "pipe"] });
  child.stdout.destroy();
  const [errors, [code]] = await Promise.all([text(child.stderr), once(child, "close")]);
  assert.equal(errors, "");
  assert.equal(code, 141);
});

test("the one-file CNI plugin answers with the specification's error when its stdin cannot be read", async () => {
  const unreadable = openSync("/dev/null", "w");
  const env = { ...process.env, CNI_COMMAND: "ADD" };
  const child = spawn(process.execPath, [CNI_PLUGIN, "bridge"], { env, stdio: [unreadable, "pipe", "pipe"] });
  closeSync(unreadable);
  assert.ok(child.stdout && child.stderr);
  const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  assert.equal(errors, "");
  assert.equal(code, 1);
  const { code: cniCode, msg } = JSON.parse(output) as { code: number; msg: string };
  assert.equal(cniCode, 5);
  assert.match(msg, /^cannot read the configuration from stdin: EBADF/);
});

test("podpath store logs as much as --log-level says", async () => {
  const folder = mkdtempSync(join(tmpdir(), "podpath-cmd-"));
  try {
    for (const level of ["info", "error"]) {
      const args = ["store", "--data-dir", folder, "--listen", "127.0.0.1:0", "--log-level", level];
      const child = spawn(process.execPath, [PODPATH, ...args], { stdio: ["ignore", "pipe", "pipe"] });
      const log = text(child.stderr);
      await once(child.stdout, "data");
      child.kill("SIGTERM");
      assert.deepEqual(await once(child, "close"), [0, null]);
      if (level === "error") assert.equal(await log, "");
      else assert.match(await log, /"name":"podpath-store".*"msg":"store: serving"/);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

describe("flanneld", () => {
  const dir = mkdtempSync(join(tmpdir(), "podpath-flanneld-"));
  const flanneld = join(dir, "flanneld");
  symlinkSync(PODPATH, flanneld);
  after(() => rmSync(dir, { recursive: true }));

  const run = (program: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: "utf8", env: {} });
    return { status, stdout, stderr };
  };

  test("is podpath's agent under another name, and tells its version as Flannel's does", () => {
    const answers = [run(flanneld, "-version"), run(PODPATH, "agent", "--version")];
    for (const { status, stdout, stderr } of answers) {
      assert.deepEqual([status, stdout], [0, ""]);
      assert.match(stderr, /^\d+\.\d+\.\d+\S*\n$/);
    }
  });

  test("tells its flags on stdout when asked", () => {
    const { status, stdout, stderr } = run(flanneld, "-h");
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, /^Usage: flanneld .*--etcd-endpoints/s);
  });

  test("ends with status 1 and one line at a flag it does not know", () => {
    const { status, stdout, stderr } = run(flanneld, "--charon-executable-path=/x");
    assert.deepEqual([status, stdout], [1, ""]);
    assert.equal(stderr, "podpath: unknown flag --charon-executable-path; --help lists all there are\n");
  });
});
