import { runInLab } from "../in-lab.ts";
import type { FromRunner, ScenariosRequest } from "./messages.ts";

/** Starts the runner in the lab from outside and passes on what it says. @throws {LabError} when it does not come to its end */
export function startScenarios(
  runner: readonly string[],
  request: ScenariosRequest,
  onMessage: (message: FromRunner) => void,
): Promise<void> {
  return runInLab<FromRunner>({ what: "run the scenarios", info: request.info, runner, request, onMessage });
}
