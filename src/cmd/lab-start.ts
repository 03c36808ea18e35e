// `podpath lab start`, which is what `npm start` runs: a lab, the six scenarios in it, and then it stays until Ctrl-C.
import type { Command } from "commander";
import { formatLab, LabNameTaken, type Launched } from "../lab/index.ts";
import { scenarios } from "./lab-scenarios.ts";
import { nameOption, printStep, startLab, type UpOptions, untilInterrupted, withUpOptions } from "./lab-up.ts";

type StartOptions = Omit<UpOptions, "name"> & { readonly name?: string; readonly once?: boolean };

export function addStartCommand(lab: Command): void {
  withUpOptions(lab.command("start").description("bring a lab up, run the scenarios, and keep it until Ctrl-C"))
    .option("--name <name>", "what to call it; default: lab, or lab-2 and so on when there is one")
    .option("--once", "take it down after the scenarios, and exit with their verdict")
    .action(start);
}

/** Without a name: the first of lab, lab-2, lab-3 … that is free, so that two clones can do this at once. */
async function startNamed({ name, ...options }: StartOptions, signal: AbortSignal): Promise<Launched> {
  if (name !== undefined) return await startLab({ ...options, name }, signal);
  for (let i = 1; ; i++) {
    try {
      return await startLab({ ...options, name: i === 1 ? "lab" : `lab-${i}` }, signal);
    } catch (error) {
      if (!(error instanceof LabNameTaken)) throw error;
    }
  }
}

async function start(options: StartOptions): Promise<void> {
  const interrupt = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => interrupt.abort());
  // npm start has a channel to us: when it closes, whoever started us was killed. It alone keeps nobody alive.
  process.once("disconnect", () => interrupt.abort());
  process.channel?.unref();
  const launched = await startNamed(options, interrupt.signal);
  console.log(`\n${formatLab(launched.info)}\n`);
  try {
    if (!(await scenarios(launched.info, { only: [], protocol: [] }))) process.exitCode = 1;
  } catch (error) {
    await launched.end(printStep);
    throw error;
  }
  if (options.once || interrupt.signal.aborted) return await launched.end(printStep);
  const name = nameOption(launched.info.name);
  console.log("\nThe lab runs. In another terminal:");
  for (const command of [`ps${name}`, `exec${name} pod-a -- ip route`, `scenarios${name} --only 4`])
    console.log(`  npx podpath lab ${command}`);
  console.log("Ctrl-C takes it down");
  await untilInterrupted(launched, interrupt.signal);
}
