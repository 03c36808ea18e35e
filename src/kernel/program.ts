// Short programs, run to their end off the event loop. Node's own spawn forks, which copies the page tables of a process
// that may be hundreds of megabytes large; posix_spawn does not.
import { accessSync, closeSync, constants, readFileSync, readSync, statSync, writeSync } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { inNs } from "./netns.ts";
import { check, memfdCreate, pipe2, posixSpawn, waitpid, watch } from "./sys.ts";

export interface ProgramOptions {
  readonly args?: readonly string[];
  /** What it reads from its standard input. */
  readonly input?: string;
  /** Where it runs; default: where this thread is. */
  readonly ns?: { readonly fd: number } | undefined;
  /** Its whole environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** After which it is killed. */
  readonly timeoutMs: number;
}

export interface ProgramResult {
  /** undefined when a signal ended it. */
  readonly exitCode: number | undefined;
  readonly isTimedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** For a process that has no PATH at all. */
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const MFD_CLOEXEC = 1;
const O_CLOEXEC = 0o2000000;
const WNOHANG = 1;
const STDERR_MAX_BYTES = 64 * 1024;

/** Where a program is, as execvp() finds it. */
export function findProgram(name: string, path: string = process.env.PATH ?? DEFAULT_PATH): string | undefined {
  return path
    .split(delimiter)
    .filter((dir) => dir !== "")
    .map((dir) => join(dir, name))
    .find(isProgram);
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/**
 * Runs the program of this absolute path. Its input and output are files in memory, so that neither side ever waits for
 * the other; that it has ended is told by the end of its standard error. @throws {SyscallError} when it cannot be started
 */
export async function runProgram(path: string, options: ProgramOptions): Promise<ProgramResult> {
  const { args = [], input = "", ns, env = {}, timeoutMs } = options;
  const fds: number[] = [];
  const keep = (fd: number): number => {
    fds.push(fd);
    return fd;
  };
  const memory = (name: string): number => keep(check(memfdCreate(name, MFD_CLOEXEC), "make a file in memory"));
  try {
    const [stdin, stdout] = [memory("stdin"), memory("stdout")];
    writeWhole(stdin, Buffer.from(input));
    const { reader, writer } = pipe(keep);
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const start = (): number => posixSpawn(path, [path, ...args], variables, [stdin, stdout, writer]);
    const pid = check(ns ? inNs(ns, start) : start(), "execute", path);
    closeSync(fds.splice(fds.indexOf(writer), 1)[0] as number);
    const timeout = new AbortController();
    const timer = setTimeout(() => {
      process.kill(pid, "SIGKILL"); // it is there, if only as a zombie, until we reap it
      timeout.abort();
    }, timeoutMs);
    const stderr = await untilClosed(reader, timeout.signal);
    const exitCode = await reap(pid);
    clearTimeout(timer);
    const isTimedOut = timeout.signal.aborted;
    return { exitCode, isTimedOut, stdout: readFileSync(`/proc/self/fd/${stdout}`, "utf8"), stderr };
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

/** Leaves the file's position, which the program shares, at the start. */
function writeWhole(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, at);
}

function pipe(keep: (fd: number) => number): { reader: number; writer: number } {
  const bytes = new Uint8Array(8);
  check(pipe2(bytes, O_CLOEXEC), "make a pipe");
  const view = new DataView(bytes.buffer);
  return { reader: keep(view.getInt32(0, true)), writer: keep(view.getInt32(4, true)) };
}

/** What is written to the pipe until nobody has it open any more, or the signal; of much, the beginning. */
function untilClosed(fd: number, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const end = (): void => {
      watching[Symbol.dispose]();
      resolve(Buffer.concat(chunks).toString("utf8"));
    };
    const read = (): void => {
      try {
        for (;;) {
          const chunk = Buffer.alloc(4096);
          const count = readSync(fd, chunk);
          if (count === 0) break;
          if (length < STDERR_MAX_BYTES) chunks.push(chunk.subarray(0, count));
          length += count;
        }
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "EAGAIN") return;
        watching[Symbol.dispose]();
        reject(error);
        return;
      }
      end();
    };
    const watching = watch(fd, read);
    // A child of the program may have it open for ever.
    signal.addEventListener("abort", end, { once: true });
  });
}

/** It has closed its standard error, so it ends now, if it has not; what only closed it is waited for all the same. */
async function reap(pid: number): Promise<number | undefined> {
  const status = new Uint8Array(4);
  for (let pauseMs = 1; ; pauseMs = Math.min(2 * pauseMs, 50)) {
    if (check(waitpid(pid, status, WNOHANG), "wait for process", String(pid)) === pid) break;
    await pause(pauseMs);
  }
  const [signal = 0, exitCode] = [(status[0] ?? 0) & 0x7f, status[1]];
  return signal === 0 ? exitCode : undefined;
}
