// Runs a program of podpath's inside the lab from outside: a request on its stdin, messages as JSON lines from its stdout,
// the last of which is "done".
import { spawn } from "node:child_process";
import { LabError } from "./errors.ts";
import { labArgv } from "./exec.ts";
import { readLines } from "./json-lines.ts";
import type { LabInfo } from "./messages.ts";
import { childEnvironment } from "./programs.ts";

export interface InLab<Message> {
  /** For the error: `run the scenarios`. */
  readonly what: string;
  readonly info: LabInfo;
  /** The beginning of a command line. */
  readonly runner: readonly string[];
  readonly request: object;
  readonly onMessage: (message: Message) => void;
}

/** @throws {LabError} when it does not come to its end */
export async function runInLab<Message extends { readonly type: string }>(inLab: InLab<Message>): Promise<void> {
  const { what, info, runner, request, onMessage } = inLab;
  const [program = "", ...args] = labArgv(info, runner);
  const child = spawn(program, args, { cwd: "/", env: childEnvironment(), stdio: ["pipe", "pipe", "pipe"] });
  let isDone = false;
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  readLines<Message>(child.stdout, (message) => {
    if (message.type === "done") isDone = true;
    onMessage(message);
  });
  child.stdin.on("error", () => {});
  child.stdin.end(JSON.stringify(request));
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => resolve());
  });
  if (!isDone) throw new LabError(what, { reason: errors.trim() || "the runner ended without a word" });
}
