// One command of somebody's, which may do anything: never end, print for ever, leave children behind.
import { type ChildProcess, spawn } from "node:child_process";
import { inNs, type NetNs } from "../../kernel/index.ts";
import { BackendError } from "../errors.ts";
import { commandWords, type Variables } from "./expand.ts";

/** It goes into the lease, which every node reads. */
const MAX_STDOUT_BYTES = 64 * 1024;
const MAX_STDERR_BYTES = 4096;
/** Of what it said, in messages. */
const MAX_TOLD_CHARACTERS = 500;
/** How long after its end what a command printed may take to arrive; a child that it left may hold the pipes for ever. */
const DRAIN_MS = 200;

export interface Command {
  /** `SubnetAddCommand`: the key in the network config. */
  readonly key: string;
  readonly text: string;
  /** Beside this process's own environment. */
  readonly variables: Variables;
  readonly stdin: string;
  readonly timeoutMs: number;
  readonly ns?: NetNs | undefined;
}

export interface RunningCommand {
  /** Its stdout; rejects with a BackendError when it did not end well. */
  readonly done: Promise<{ readonly stdout: string; readonly stderr: string }>;
  /** Ends it and its children. */
  kill(): void;
}

/** Runs a command in a process group of its own, without a shell. */
export function runCommand(command: Command): RunningCommand {
  const { key, text, variables, stdin, timeoutMs, ns } = command;
  const environment = { ...process.env, ...variables };
  const [program = "", ...args] = commandWords(text, environment);
  const failed = (why: string, cause?: unknown): BackendError =>
    new BackendError(`Cannot run Backend.${key} (${text}): ${why}`, { cause });
  if (program === "") return { done: Promise.reject(failed("it names no program")), kill: () => {} };
  // Its own group, so that what it starts can be ended with it.
  const start = (): ChildProcess => spawn(program, args, { env: environment, detached: true, stdio: "pipe" });
  let child: ChildProcess;
  try {
    child = ns ? inNs(ns, start) : start();
  } catch (error) {
    return { done: Promise.reject(failed(messageOf(error), error)), kill: () => {} };
  }
  const kill = (): void => killGroup(child);
  const done = new Promise<{ stdout: string; stderr: string }>((resolve, reject) => {
    const [stdout, stderr] = [collect(child.stdout, MAX_STDOUT_BYTES), collect(child.stderr, MAX_STDERR_BYTES)];
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      kill();
    }, timeoutMs);
    const settle = (why: string | undefined, cause?: unknown): void => {
      clearTimeout(timer);
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
      const told = tail(stderr.text() || stdout.text());
      if (why === undefined) resolve({ stdout: stdout.text(), stderr: stderr.text() });
      else reject(failed(told ? `${why}: ${told}` : why, cause));
    };
    child.once("error", (error) => settle(messageOf(error), error));
    child.once("exit", (code, signal) => {
      const why = isLate
        ? `it did not end within ${timeoutMs / 1000} s, and was killed`
        : signal
          ? `it was ended by ${signal}`
          : code === 0
            ? stdout.isCut()
              ? `it printed more than ${MAX_STDOUT_BYTES} bytes`
              : undefined
            : `it ended with status ${code}`;
      const drained = setTimeout(() => settle(why), DRAIN_MS);
      child.once("close", () => {
        clearTimeout(drained);
        settle(why);
      });
    });
    // Whoever does not read its stdin need not.
    child.stdin?.on("error", () => {});
    child.stdin?.end(`${stdin}\n`);
  });
  return { done, kill };
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

/** Keeps the first `max` bytes and reads the rest, so that the writer does not stand still. */
function collect(stream: ChildProcess["stdout"], max: number): { text: () => string; isCut: () => boolean } {
  const chunks: Buffer[] = [];
  let [length, isCut] = [0, false];
  stream?.on("error", () => {});
  stream?.on("data", (chunk: Buffer) => {
    if (length < max) chunks.push(chunk.subarray(0, max - length));
    length += chunk.length;
    isCut = length > max;
  });
  return { text: () => Buffer.concat(chunks).toString("utf8").trim(), isCut: () => isCut };
}

/** The end of what it said, where the reason stands, on one line. */
function tail(text: string): string {
  return text.slice(-MAX_TOLD_CHARACTERS).replaceAll(/\s*\n\s*/g, " | ");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
