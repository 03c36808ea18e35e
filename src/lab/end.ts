// Ends a lab from outside, and sees to it that nothing of it is left.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { isRunning } from "../kernel/index.ts";
import { askControl, isNotRunning, theLab } from "./control.ts";
import { LabError } from "./errors.ts";
import type { LabProcesses, Progress } from "./messages.ts";
import { childEnvironment } from "./programs.ts";
import { type StateDir, stateDir } from "./state-dir.ts";

/** How long the supervisor may take to end things in order, before they are ended out of order. */
const PATIENCE_MS = 20_000;

/** @param name which lab; undefined: the only one. @returns its name. @throws {LabError} when there is none */
export async function endLab(name: string | undefined, onProgress: (step: Progress) => void): Promise<string> {
  const dir = stateDir(name ?? (await theLab(undefined)).name);
  if (!existsSync(dir.controlSocket))
    throw new LabError(`end the lab ${JSON.stringify(dir.name)}`, { reason: "there is none" });
  await askToEnd(dir, onProgress);
  await untilGone(dir);
  return dir.name;
}

/** Asks the supervisor; a supervisor that does not answer loses its process 1, and with that everything goes. */
export async function askToEnd(dir: StateDir, onProgress: (step: Progress) => void): Promise<void> {
  const processes = readProcesses(dir);
  const timer = setTimeout(() => killInit(processes), PATIENCE_MS);
  try {
    await askControl(dir, { method: "down" }, onProgress);
  } catch (error) {
    // It was killed before, and left its folder.
    if (!isNotRunning(error)) killInit(processes);
  } finally {
    clearTimeout(timer);
  }
}

function killInit(processes: LabProcesses | undefined): void {
  if (processes && isRunning(processes.init)) process.kill(processes.init.pid, "SIGKILL");
}

/** Waits for the lock that the lab's outermost process holds to its end, and takes the folder away under it. */
async function untilGone(dir: StateDir): Promise<void> {
  if (!(await removeUnderLock(dir, "--timeout=10")))
    throw new LabError(`end the lab ${JSON.stringify(dir.name)}`, { reason: "its processes do not end" });
}

/** Takes the folder of a lab that has ended away, unless the next lab of that name has it already. */
export async function removeStateDir(dir: StateDir): Promise<void> {
  await removeUnderLock(dir, "--nonblock");
}

/**
 * Whoever held the lock before may have removed the folder, and the next lab have made it anew: what is locked is looked
 * at again. @returns whether it was removed
 */
async function removeUnderLock(dir: StateDir, wait: string): Promise<boolean> {
  const script = 'cd / && exec 9<"$1/" && flock "$2" 9 && [ "$1" -ef /proc/self/fd/9 ] && rm -rf "$1"';
  const child = spawn("sh", ["-c", script, "podpath-lab", dir.path, wait], {
    env: childEnvironment(),
    stdio: "ignore",
  });
  const [code] = (await once(child, "exit")) as [number | null];
  return code === 0 || !existsSync(dir.path);
}

export function processesFile(dir: StateDir): string {
  return `${dir.path}/processes.json`;
}

function readProcesses(dir: StateDir): LabProcesses | undefined {
  try {
    return JSON.parse(readFileSync(processesFile(dir), "utf8")) as LabProcesses;
  } catch {
    return undefined;
  }
}
