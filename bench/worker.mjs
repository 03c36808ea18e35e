// A process in some place of the lab that is told, line by line, what to do, and answers each line with lines of JSON.
// This is our end of it; the other end is answerLines().
import { spawn } from "node:child_process";
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";

/** No question takes that long, unless something hangs. */
const PATIENCE_MS = 120_000;

/** A worker, or what was asked of it, failed. */
export class WorkerError extends Error {
  name = "WorkerError";
}

export class Worker {
  #child;
  #name;
  #lines = [];
  #waiting = [];
  #ended;
  #stderr = "";

  /** @param {string} name for messages @param {readonly string[]} command */
  constructor(name, command) {
    this.#name = name;
    const [program, ...args] = command;
    this.#child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stderr.on("data", (data) => {
      this.#stderr = (this.#stderr + data).slice(-2000);
    });
    // Writing to a process that has ended; the end itself is what is reported.
    this.#child.stdin.on("error", () => {});
    this.#child.on("error", (error) => this.#end(error.message));
    this.#child.on("close", (code, signal) => this.#end(`it ended with ${signal ?? code}`));
    createInterface({ input: this.#child.stdout }).on("line", (line) => this.#onLine(line));
  }

  /** Asks and waits for the first line of the answer. @param {object} question @returns {Promise<any>} */
  ask(question) {
    if (this.#ended === undefined) this.#child.stdin.write(`${JSON.stringify(question)}\n`);
    return this.answer();
  }

  /** The next line of the answer. @returns {Promise<any>} */
  async answer() {
    const line = this.#lines.shift() ?? (await this.#next());
    let answer;
    try {
      answer = JSON.parse(line);
    } catch {
      throw new WorkerError(`${this.#name} said what is no JSON: ${line.slice(0, 200)}`);
    }
    if (answer.error !== undefined) throw new WorkerError(`${this.#name}: ${answer.error}`);
    return answer;
  }

  /** Lets the worker end by itself; resolves when it has. */
  async close() {
    const { exitCode, signalCode, pid } = this.#child;
    if (exitCode !== null || signalCode !== null || pid === undefined) return;
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 3000);
    await new Promise((resolve) => this.#child.once("close", resolve));
    clearTimeout(timer);
  }

  /** Ends it now: who waits for an answer gets an error. */
  kill() {
    this.#child.kill("SIGTERM");
  }

  #next() {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      const timer = setTimeout(() => this.#end(`no answer for ${PATIENCE_MS / 1000} s`), PATIENCE_MS);
      const settle = (settled) => (value) => {
        clearTimeout(timer);
        settled(value);
      };
      this.#waiting.push({ resolve: settle(resolve), reject: settle(reject) });
    });
  }

  #onLine(line) {
    const waiter = this.#waiting.shift();
    if (waiter) waiter.resolve(line);
    else this.#lines.push(line);
  }

  #end(how) {
    if (this.#ended !== undefined) return;
    const said = this.#stderr.trim();
    this.#ended = new WorkerError(`${this.#name} is gone: ${how}${said ? `\n${said}` : ""}`);
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }
}

/**
 * The worker's side: for each line on standard input, calls the handler named by its `do`. What the handler returns is
 * the last line of the answer; it may say() lines before. Ends when standard input does.
 * @param {Record<string, (question: any) => unknown>} handlers
 */
export async function answerLines(handlers) {
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      const question = JSON.parse(line);
      say((await handlers[question.do](question)) ?? {});
    } catch (error) {
      say({ error: error instanceof Error ? error.message : String(error) });
    }
  }
}

/** Synchronous: the line is out before a blocking call keeps the event loop from running. */
export function say(answer) {
  writeSync(1, `${JSON.stringify(answer)}\n`);
}
