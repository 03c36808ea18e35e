/**
 * The lab: a whole cluster (gateway, nodes, store, a client outside, pods) in namespaces of one machine, and the runner of
 * the six scenarios in it.
 *
 * Starts the other components as they run in earnest, as processes of their own, and knows of them only their command
 * lines, sockets and files. Nothing of it touches the machine's own network.
 */
import type { LabPrograms } from "./programs.ts";
import type { FromRunner, ScenariosRequest } from "./scenarios/messages.ts";
import type { FromSoak, SoakRequest } from "./soak/messages.ts";

export { askControl, runningLabs, theLab } from "./control.ts";
export { endLab } from "./end.ts";
export * from "./errors.ts";
export * from "./exec.ts";
export { type Launched, launch } from "./launch.ts";
export { logFile } from "./logs.ts";
export { readWorkload } from "./manifest.ts";
export type * from "./messages.ts";
export { childEnvironment, type LabPrograms } from "./programs.ts";
export type { FromRunner, ScenarioResult, ScenariosRequest } from "./scenarios/messages.ts";
export { startScenarios } from "./scenarios/start.ts";
export type { FromSoak, SoakRequest, SoakResult } from "./soak/messages.ts";
export { requireFaults, soakLab, startSoak } from "./soak/start.ts";
export { stateDir, stateRoot } from "./state-dir.ts";
export { formatLab, formatTable } from "./table.ts";
export { MAX_NODES } from "./topology.ts";

/** The supervisor's whole life. What it needs is loaded here only: the commands that ask it something start faster so. */
export async function runSupervisor(path: string, rootless: boolean, programs: LabPrograms): Promise<void> {
  const supervisor = await import("./supervisor.ts");
  supervisor.runSupervisor(path, rootless, programs);
}

/** The scenarios' runner, inside the lab. */
export async function runScenarios(request: ScenariosRequest, say: (message: FromRunner) => void): Promise<void> {
  const runner = await import("./scenarios/runner.ts");
  await runner.runScenarios(request, say);
}

/** The soak's runner, inside the lab. */
export async function runSoak(request: SoakRequest, say: (message: FromSoak) => void): Promise<void> {
  const runner = await import("./soak/runner.ts");
  await runner.runSoak(request, say);
}
