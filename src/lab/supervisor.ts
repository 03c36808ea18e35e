// The supervisor: builds the cluster on the word of `podpath lab up`, then serves the control socket until it is told to
// end. It needs not be able to clean up: see launch.ts.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { basename, dirname, join } from "node:path";
import { buildCluster } from "./build.ts";
import type { Cluster, Step } from "./cluster.ts";
import { type ControlAnswer, serveControl } from "./control.ts";
import { processesFile } from "./end.ts";
import { LabError, reasonOf } from "./errors.ts";
import { readLines, writeLine } from "./json-lines.ts";
import type { ControlRequest, FromSupervisor, LabProcesses, LabSpec, Progress, ToSupervisor } from "./messages.ts";
import type { LabPrograms } from "./programs.ts";
import { type StateDir, stateDir } from "./state-dir.ts";

/** Where launch() put the lifeline. */
const LIFELINE_FD = 3;

/** Runs for the lab's whole life. @param path the state folder */
export function runSupervisor(path: string, rootless: boolean, programs: LabPrograms): void {
  const dir = stateDir(basename(path), dirname(path));
  const lifeline = new Socket({ fd: LIFELINE_FD, readable: true, writable: true });
  const say = (message: FromSupervisor): void => writeLine(lifeline, message);
  // Whoever started us and has not let go is gone: the lab was not meant to outlive it.
  // exit(), here and below: daemons, sockets and watches would keep the event loop, and this process, going for ever; all
  // that is still to be cleaned up goes with the namespaces.
  lifeline.on("close", () => process.exit(1));
  lifeline.on("error", () => {});
  readLines<ToSupervisor>(lifeline, (message) => {
    if (message.type === "start")
      start(dir, rootless, message.spec, message.processes, programs, say).catch((error: unknown) => {
        console.error(error);
        lifeline.end(`${JSON.stringify({ type: "failed", message: reasonOf(error) } satisfies FromSupervisor)}\n`);
      });
    else {
      lifeline.removeAllListeners("close");
      lifeline.end(`${JSON.stringify({ type: "detached" } satisfies FromSupervisor)}\n`);
    }
  });
  say({ type: "hello" });
}

async function start(
  dir: StateDir,
  rootless: boolean,
  spec: LabSpec,
  processes: LabProcesses,
  programs: LabPrograms,
  say: (message: FromSupervisor) => void,
): Promise<void> {
  clear(dir);
  writeFileSync(processesFile(dir), JSON.stringify(processes), { mode: 0o600 });
  const cluster = await buildCluster({ spec, dir, processes, rootless, programs, step: stepper(say) });
  await serveControl(dir.controlSocket, (request, progress) => handle(cluster, request, progress));
  process.on("SIGTERM", () => void end(cluster, say));
  process.on("SIGINT", () => void end(cluster, say));
  say({ type: "ready", info: cluster.info() });
}

/** A lab of this name that was killed left its files; ours is the lock now. */
function clear(dir: StateDir): void {
  for (const name of readdirSync(dir.path))
    if (name !== "supervisor.log") rmSync(join(dir.path, name), { recursive: true, force: true });
  for (const folder of [dir.logs, dir.data]) mkdirSync(folder, { mode: 0o700 });
}

async function handle(
  cluster: Cluster,
  request: ControlRequest,
  progress: (step: Progress) => void,
): Promise<ControlAnswer> {
  switch (request.method) {
    case "info":
      return { result: cluster.info() };
    case "kill":
      await cluster.kill(request.process, request.signal, request.wait ?? false);
      return {};
    case "delete-pod":
      await cluster.deletePod(request.pod);
      return {};
    case "down":
      await cluster.down(stepper(progress));
      // Process 1 ends with us, and with it everything.
      return { afterwards: () => process.exit(0) };
    default:
      throw new LabError("understand the request", { reason: `there is no method ${JSON.stringify(request)}` });
  }
}

async function end(cluster: Cluster, say: (message: FromSupervisor) => void): Promise<void> {
  await cluster.down(stepper(say)).catch(() => {});
  process.exit(0);
}

function stepper(say: (step: Progress) => void): Step {
  return async (step, f) => {
    const begin = performance.now();
    say({ type: "step", step });
    const result = await f();
    say({ type: "step", step, ms: Math.round(performance.now() - begin) });
    return result;
  };
}
