// Runs one program to its end as cheaply as a container runtime written in C would: what is timed is the program, not
// the harness. Node's own spawn forks, which costs a large process milliseconds, and reports through the event loop.
import { closeSync, openSync, readFileSync, readSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check, pipe2, posixSpawn, waitpid } from "../dist/kernel/sys.js";

const O_CLOEXEC = 0o2000000;
const buffer = Buffer.alloc(1 << 16);
// Flannel's plugins print their delegate's configuration there on every ADD; it is read only when something fails.
const stderrFile = openStderrFile();

/**
 * Blocks until the program has ended.
 * @param {string} path @param {Readonly<Record<string, string>>} env @param {string} stdin less than a pipe holds, 64 KiB
 * @returns {{ milliseconds: number, exitCode: number, stdout: string, stderr: string }}
 */
export function runProgram(path, env, stdin) {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const input = pipe();
  const output = pipe();
  writeSync(input.write, stdin);
  closeSync(input.write);
  const stderrStart = readFileSync(stderrFile.path).length;

  const start = process.hrtime.bigint();
  const pid = posixSpawn(path, [path], variables, [input.read, output.write, stderrFile.fd]);
  closeSync(input.read);
  closeSync(output.write);
  let length = 0;
  const status = new Uint8Array(4);
  if (pid > 0) {
    for (let read = 1; read > 0; length += read)
      read = readSync(output.read, buffer, length, buffer.length - length, null);
    check(waitpid(pid, status, 0), "wait for", path);
  }
  const end = process.hrtime.bigint();

  closeSync(output.read);
  check(pid, "execute", path);
  const [signal, exitCode] = [(status[0] ?? 0) & 0x7f, status[1] ?? 0];
  return {
    milliseconds: Number(end - start) / 1e6,
    exitCode: signal ? 128 + signal : exitCode,
    stdout: buffer.toString("utf8", 0, length),
    stderr: readFileSync(stderrFile.path).subarray(stderrStart).toString("utf8"),
  };
}

function pipe() {
  const fds = new Uint8Array(8);
  check(pipe2(fds, O_CLOEXEC), "make a pipe");
  const view = new DataView(fds.buffer);
  return { read: view.getInt32(0, true), write: view.getInt32(4, true) };
}

/** A file without a name, that every program appends to. */
function openStderrFile() {
  const path = join(tmpdir(), `podpath-bench-${process.pid}.stderr`);
  const fd = openSync(path, "ax+", 0o600);
  unlinkSync(path);
  return { fd, path: `/proc/self/fd/${fd}` };
}
