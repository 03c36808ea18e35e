// Where the lab finds podpath's own executables: beside this one.
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { LabPrograms } from "../lab/index.ts";

const beside = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export function labPrograms(): LabPrograms {
  return {
    podpath: [process.execPath, beside("podpath.js")],
    container: [process.execPath, beside("container.js")],
    folder: dirname(beside("podpath.js")),
  };
}

export function supervisorProgram(): string {
  return beside("lab-supervisor.js");
}

/** The beginning of the command line that runs the scenarios inside the lab. */
export function scenarioRunner(): string[] {
  return [process.execPath, beside("lab-scenario-runner.js")];
}

/** The beginning of the command line that runs the soak inside the lab. */
export function soakRunner(): string[] {
  return [process.execPath, beside("lab-soak-runner.js")];
}
