// `podpath lab up`: brings a lab up, with a line for each step.
import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import {
  formatLab,
  LabError,
  type Launched,
  launch,
  MAX_NODES,
  type Progress,
  readWorkload,
  stateDir,
} from "../lab/index.ts";
import { supervisorProgram } from "./lab-programs.ts";

export interface UpOptions {
  readonly name: string;
  readonly nodes: number;
  readonly etcd?: boolean;
  readonly file: readonly string[];
}

const collect = (value: string, list: readonly string[]): string[] => [...list, value];

/** The options of every command that starts a lab. */
export function withUpOptions(command: Command): Command {
  return command
    .option("--nodes <n>", `how many nodes run pods, 1 to ${MAX_NODES}`, parseNodes, 2)
    .option("--etcd", "keep the leases in a real etcd (Debian: etcd-server) instead of the embedded store")
    .option(
      "-f, --file <manifest>",
      "Pods and Services to run instead of the default ones (repeatable; - is stdin)",
      collect,
      [],
    );
}

function parseNodes(text: string): number {
  const nodes = Number(text);
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > MAX_NODES)
    throw new InvalidArgumentError(`want a number from 1 to ${MAX_NODES}.`);
  return nodes;
}

export function addUpCommands(lab: Command): void {
  withUpOptions(lab.command("up").description("bring a lab up"))
    .option("--name <name>", "what to call it; labs of different names run side by side", "lab")
    .option("--foreground", "stay, and take the lab down on Ctrl-C")
    .action(up);
}

async function up(options: UpOptions & { foreground?: boolean }): Promise<void> {
  const interrupt = new AbortController();
  const onSignal = (): void => interrupt.abort();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, onSignal);
  const launched = await startLab(options, interrupt.signal);
  console.log(`\n${formatLab(launched.info)}\n`);
  if (!options.foreground && !interrupt.signal.aborted) {
    await launched.detach();
    console.log(
      `podpath lab ps${nameOption(options.name)} shows it again, podpath lab down${nameOption(options.name)} ends it`,
    );
    return;
  }
  console.log("Ctrl-C takes it down");
  await untilInterrupted(launched, interrupt.signal);
}

export function nameOption(name: string): string {
  return name === "lab" ? "" : ` --name ${name}`;
}

/** Resolves when the lab stands. @throws {LabError} */
export async function startLab(options: UpOptions, signal: AbortSignal): Promise<Launched> {
  const manifests = options.file.map((file) => ({ name: file === "-" ? "stdin" : file, text: readManifest(file) }));
  // Once here too: an error in a manifest is found before anything is made.
  readWorkload(manifests, options.nodes);
  const begin = performance.now();
  const launched = await launch({
    spec: { name: options.name, nodes: options.nodes, etcd: options.etcd ?? false, manifests },
    dir: stateDir(options.name),
    onProgress: printStep,
    signal,
    supervisor: supervisorProgram(),
  });
  console.log(`the lab is up after ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  return launched;
}

function readManifest(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (cause) {
    throw new LabError(`read ${file}`, { reason: cause instanceof Error ? cause.message : String(cause), cause });
  }
}

/** A terminal sees each step from its beginning; a file gets a line when it is done. */
export function printStep({ step, ms }: Progress): void {
  const isTerminal = process.stdout.isTTY;
  if (ms === undefined) {
    if (isTerminal) process.stdout.write(`  ${step} ...`);
  } else process.stdout.write(`${isTerminal ? "\r\x1b[K" : ""}  ${step.padEnd(32)} ${String(ms).padStart(6)} ms\n`);
}

/** Waits for Ctrl-C, and then for the lab's end; or for the lab to end by itself, which is an error. */
export async function untilInterrupted(launched: Launched, signal: AbortSignal): Promise<void> {
  const interrupted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
  let hasEnded = false;
  const ended = launched.ended.then(() => {
    hasEnded = true;
  });
  await Promise.race([interrupted, ended]);
  if (hasEnded) throw new LabError("keep the lab", { reason: "it was ended by somebody else" });
  await launched.end(printStep);
}
