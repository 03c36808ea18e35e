// What asks a running lab for something: ps, down, kill, delete.

import { constants } from "node:os";
import { type Command, InvalidArgumentError } from "commander";
import { askControl, endLab, formatLab, LabError, runningLabs, stateDir, theLab } from "../lab/index.ts";
import { printStep } from "./lab-up.ts";

interface NameOption {
  readonly name?: string;
}

interface KillOptions extends NameOption {
  readonly signal: NodeJS.Signals;
  readonly wait?: boolean;
}

const NAME = ["--name <name>", "which lab, when there are several"] as const;

export function addControlCommands(lab: Command): void {
  lab
    .command("ps")
    .description("show nodes, agents, pods, Services and the store")
    .option(...NAME)
    .option("--json", "as data")
    .action(ps);
  lab
    .command("down")
    .description("end a lab")
    .option(...NAME)
    .action(down);
  lab
    .command("kill <process>")
    .description("send a signal to agent/NODE or store; one that dies is started again")
    .option(...NAME)
    .option("-s, --signal <signal>", "KILL, TERM, STOP, CONT, ...", parseSignal, "SIGKILL")
    .option("--wait", "until it has been started again and is ready")
    .action(kill);
  lab
    .command("delete <pod>")
    .description("delete a pod: CNI DEL, and out of its Services")
    .option(...NAME)
    .action(deletePod);
}

function parseSignal(text: string): NodeJS.Signals {
  const name = text.toUpperCase().replace(/^(SIG)?/, "SIG");
  if (!(name in constants.signals)) throw new InvalidArgumentError("want a signal's name.");
  return name as NodeJS.Signals;
}

async function ps({ name, json }: NameOption & { json?: boolean }): Promise<void> {
  const labs = name === undefined ? await runningLabs() : [await theLab(name)];
  if (labs.length === 0)
    throw new LabError("show a lab", { reason: "none is running", advice: "podpath lab up starts one" });
  if (json) console.log(JSON.stringify(labs.length === 1 ? labs[0] : labs, undefined, 2));
  else console.log(labs.map(formatLab).join("\n\n\n"));
}

async function down({ name }: NameOption): Promise<void> {
  const begin = performance.now();
  const ended = await endLab(name, printStep);
  console.log(`the lab ${ended} is down after ${((performance.now() - begin) / 1000).toFixed(1)} s`);
}

async function kill(process: string, { name, signal, wait = false }: KillOptions): Promise<void> {
  const info = await theLab(name);
  await askControl(stateDir(info.name), { method: "kill", process, signal, wait });
  console.log(`${signal} to ${process}${wait ? "; it is back" : ""}`);
}

async function deletePod(pod: string, { name }: NameOption): Promise<void> {
  const info = await theLab(name);
  await askControl(stateDir(info.name), { method: "delete-pod", pod: pod.replace(/^pod\//, "") });
  console.log(`pod ${pod} deleted`);
}
