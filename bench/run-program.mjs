// Runs programs to their end as cheaply as a container runtime written in C would: what is timed is the program, not
// the harness. Node's own spawn forks, which costs a large process milliseconds, and reports through the event loop.
import { closeSync, openSync, readFileSync, readSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check, pipe2, posixSpawn, waitpid } from "../dist/kernel/sys.js";

const O_CLOEXEC = 0o2000000;
const ANY_CHILD = -1;
const buffer = Buffer.alloc(1 << 16);
// Flannel's plugins print their delegate's configuration there on every ADD; it is read only when something fails.
const stderrFile = openStderrFile();

/**
 * @typedef {object} Program
 * @property {string} path
 * @property {Readonly<Record<string, string>>} env
 * @property {string} stdin less than a pipe holds, 64 KiB; so is what it may print
 */

/** @typedef {{ milliseconds: number, exitCode: number, stdout: string, stderr: string }} Ended */

/** Blocks until the program has ended. @param {string} path @param {Program["env"]} env @param {string} stdin @returns {Ended} */
export function runProgram(path, env, stdin) {
  const running = start({ path, env, stdin });
  // Until it closes its output, and then until it has ended: the same as a runtime does.
  const stdout = readAll(running.output);
  const status = new Uint8Array(4);
  check(waitpid(running.pid, status, 0), "wait for", path);
  return running.ended(status, stdout);
}

/**
 * Runs one sequence of programs for each of `sequences`, at the most `atOnce` at the same time, and blocks until all
 * have ended. A sequence gives the next program, told how the last one ended; undefined is its end.
 * @param {readonly ((last: Ended | undefined) => Program | undefined)[]} sequences @param {number} atOnce
 */
export function runTogether(sequences, atOnce) {
  const waiting = [...sequences];
  const running = new Map();
  const next = (sequence, last) => {
    const program = sequence(last);
    if (!program) return;
    const started = start(program);
    running.set(started.pid, { started, sequence });
  };
  const fill = () => {
    while (running.size < atOnce && waiting.length > 0) next(waiting.shift());
  };
  fill();
  const status = new Uint8Array(4);
  while (running.size > 0) {
    const pid = check(waitpid(ANY_CHILD, status, 0), "wait for", "any program");
    const child = running.get(pid);
    if (!child) continue;
    running.delete(pid);
    const { started, sequence } = child;
    next(sequence, started.ended(status, readAll(started.output)));
    fill();
  }
}

function start({ path, env, stdin }) {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const input = pipe();
  const output = pipe();
  writeSync(input.write, stdin);
  closeSync(input.write);
  const stderrStart = readFileSync(stderrFile.path).length;

  const begin = process.hrtime.bigint();
  const pid = posixSpawn(path, [path], variables, [input.read, output.write, stderrFile.fd]);
  closeSync(input.read);
  closeSync(output.write);
  if (pid < 0) closeSync(output.read);
  check(pid, "execute", path);
  return {
    pid,
    output: output.read,
    ended(status, stdout) {
      const end = process.hrtime.bigint();
      closeSync(output.read);
      const [signal, exitCode] = [(status[0] ?? 0) & 0x7f, status[1] ?? 0];
      return {
        milliseconds: Number(end - begin) / 1e6,
        exitCode: signal ? 128 + signal : exitCode,
        stdout,
        stderr: exitCode || signal ? readFileSync(stderrFile.path).subarray(stderrStart).toString("utf8") : "",
      };
    },
  };
}

function readAll(fd) {
  let length = 0;
  for (let read = 1; read > 0; length += read) read = readSync(fd, buffer, length, buffer.length - length, null);
  return buffer.toString("utf8", 0, length);
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
