// Starts the runner in the lab from outside and passes on what it says.
import { spawn } from "node:child_process";
import { LabError } from "../errors.ts";
import { labArgv } from "../exec.ts";
import { readLines } from "../json-lines.ts";
import { childEnvironment } from "../programs.ts";
import type { FromRunner, ScenariosRequest } from "./messages.ts";

/** @param runner the beginning of the runner's command line @throws {LabError} when it does not come to its end */
export async function startScenarios(
  runner: readonly string[],
  request: ScenariosRequest,
  onMessage: (message: FromRunner) => void,
): Promise<void> {
  const [program = "", ...args] = labArgv(request.info, runner);
  const child = spawn(program, args, { cwd: "/", env: childEnvironment(), stdio: ["pipe", "pipe", "pipe"] });
  let isDone = false;
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  readLines<FromRunner>(child.stdout, (message) => {
    if (message.type === "done") isDone = true;
    else onMessage(message);
  });
  child.stdin.on("error", () => {});
  child.stdin.end(JSON.stringify(request));
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => resolve());
  });
  if (!isDone) throw new LabError("run the scenarios", { reason: errors.trim() || "the runner ended without a word" });
}
