// `podpath lab start`, which is what `npm start` runs: a lab, the six scenarios in it, and then it stays until Ctrl-C.
import type { Command } from "commander";
import { formatLab } from "../lab/index.ts";
import { scenarios } from "./lab-scenarios.ts";
import { nameOption, printStep, startLab, type UpOptions, untilInterrupted, withUpOptions } from "./lab-up.ts";

export function addStartCommand(lab: Command): void {
  withUpOptions(lab.command("start").description("bring a lab up, run the scenarios, and keep it until Ctrl-C"))
    .option("--once", "take it down after the scenarios, and exit with their verdict")
    .action(start);
}

async function start(options: UpOptions & { once?: boolean }): Promise<void> {
  const interrupt = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => interrupt.abort());
  const launched = await startLab(options, interrupt.signal);
  console.log(`\n${formatLab(launched.info)}\n`);
  try {
    if (!(await scenarios(launched.info, { only: [], protocol: [] }))) process.exitCode = 1;
  } catch (error) {
    await launched.end(printStep);
    throw error;
  }
  if (options.once || interrupt.signal.aborted) return await launched.end(printStep);
  const name = nameOption(options.name);
  console.log("\nThe lab runs. In another terminal:");
  for (const command of [`ps${name}`, `exec${name} pod-a -- ip route`, `scenarios${name} --only 4`])
    console.log(`  npx podpath lab ${command}`);
  console.log("Ctrl-C takes it down");
  await untilInterrupted(launched, interrupt.signal);
}
