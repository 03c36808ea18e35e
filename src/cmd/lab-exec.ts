// What goes into a running lab: exec, shell, and the logs that come out.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import type { Command } from "commander";
import { childrenOf, programName } from "../kernel/index.ts";
import { childEnvironment, execArgv, execTarget, LabError, logFile, stateDir, theLab } from "../lab/index.ts";

interface ExecOptions {
  readonly name?: string;
  readonly container?: string;
}

const NAME = ["--name <name>", "which lab, when there are several"] as const;
const CONTAINER = ["-c, --container <container>", "which container of the pod; default: the first"] as const;

export function addExecCommands(lab: Command): void {
  lab
    .command("exec <where> <command...>")
    .description("run a command in a pod (pod-a), a node (node1, gateway, client, store) or the fabric (lab)")
    .option(...NAME)
    .option(...CONTAINER)
    // The command's own options are not ours; what stands between <where> and the command is.
    .passThroughOptions()
    .action((where: string, words: string[], options: ExecOptions) => {
      const { command, ...more } = splitCommand(words);
      return execute(where, command, { ...options, ...more });
    });
  lab
    .command("shell <where>")
    .description("a shell there")
    .option(...NAME)
    .option(...CONTAINER)
    .action((where: string, options: ExecOptions) => execute(where, [process.env.SHELL ?? "sh"], options));
  lab
    .command("logs <what>")
    .description("what agent/NODE, store, POD/CONTAINER, client or the lab itself has logged")
    .option(...NAME)
    .option("-f, --follow", "and what is logged from now on")
    .action(logs);
}

/** `-c c1 -- ls -l` and `ls -l`: our options, if any, then the command. */
export function splitCommand(words: readonly string[]): ExecOptions & { readonly command: readonly string[] } {
  const [first = "", second] = words;
  const rest = (): ReturnType<typeof splitCommand> => splitCommand(words.slice(2));
  if (first === "--") return { command: words.slice(1) };
  if ((first === "-c" || first === "--container") && second !== undefined) return { container: second, ...rest() };
  if (first === "--name" && second !== undefined) return { name: second, ...rest() };
  return { command: words };
}

/** The command gets this process's stdin, stdout, stderr and terminal themselves; its exit code becomes ours. */
async function execute(where: string, command: readonly string[], { name, container }: ExecOptions): Promise<void> {
  if (command.length === 0) throw new LabError(`run nothing in ${where}`, { reason: "want a command" });
  const info = await theLab(name);
  const argv = execArgv(info, execTarget(info, where, container), command);
  await run(argv);
}

async function run([program = "", ...args]: readonly string[]): Promise<void> {
  // Ctrl-C goes to the terminal's whole foreground group: the command decides what it means.
  const ignore = (): void => {};
  process.on("SIGINT", ignore).on("SIGQUIT", ignore);
  const child = spawn(program, args, { cwd: "/", env: childEnvironment(), stdio: "inherit" });
  for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, () => signalProgram(child.pid, signal));
  const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  process.exitCode = code ?? 128 + (signal ? constants.signals[signal] : 0);
}

/** nsenter waits for its child and passes no signal on: the program itself is meant. */
function signalProgram(pid: number | undefined, signal: NodeJS.Signals): void {
  let target = pid;
  while (target !== undefined && programName(target) === "nsenter") target = childrenOf(target)[0];
  try {
    if (target !== undefined) process.kill(target, signal);
  } catch {
    // It ended by itself meanwhile.
  }
}

async function logs(what: string, { name, follow }: { name?: string; follow?: boolean }): Promise<void> {
  const info = await theLab(name);
  await run(["tail", "-n", "+1", ...(follow ? ["-F"] : []), logFile(stateDir(info.name), what)]);
}
