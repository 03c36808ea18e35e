// `podpath lab soak`, which is what `npm run soak` runs: a lab of its own, random faults in it under constant traffic.
import { type Command, InvalidArgumentError } from "commander";
import {
  type FromSoak,
  launch,
  MAX_NODES,
  requireFaults,
  type SoakResult,
  soakLab,
  startSoak,
  stateDir,
} from "../lab/index.ts";
import { labPrograms, soakRunner, supervisorProgram } from "./lab-programs.ts";
import { printStep } from "./lab-up.ts";

interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly nodes: number;
  readonly patience: number;
  readonly only: readonly string[];
  readonly etcd?: boolean;
  readonly json?: boolean;
}

export function addSoakCommand(lab: Command): void {
  lab
    .command("soak")
    .description(
      "random faults in a lab of its own, under constant traffic; exit 1 on any wrong cell or unexplained loss",
    )
    .option("--minutes <n>", "how long", positive, 10)
    .option("--seed <n>", "the same seed gives the same faults; default: the time", whole, Date.now() % 2 ** 32)
    .option("--nodes <n>", `how many nodes run pods, 2 to ${MAX_NODES}`, whole, 3)
    .option("--patience <n>", "how many times as long as on an idle machine a repair may take", positive, 1)
    .option(
      "--only <fault>",
      "only this kind of fault (repeatable)",
      (kind, list: readonly string[]) => [...list, kind],
      [],
    )
    .option("--etcd", "a real etcd instead of the embedded store")
    .option("--json", "the result as data")
    .action(soak);
}

function positive(text: string): number {
  const n = Number(text);
  if (!(n > 0)) throw new InvalidArgumentError("want a number above 0.");
  return n;
}

function whole(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("want a whole number.");
  return Number(text);
}

async function soak({ minutes, seed, nodes, patience, only, etcd, json }: SoakOptions): Promise<void> {
  requireFaults(only);
  const interrupt = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => interrupt.abort());
  const say = (line: string): void => {
    if (!json) console.log(line);
  };
  const name = `soak-${process.pid}`;
  const { spec, hasClocks } = soakLab(name, nodes, etcd ?? false);
  say(`soak: ${minutes} min, ${nodes} nodes, seed ${seed}`);
  if (!hasClocks) say("no clock jumps: libfaketime is not installed (apt-get install libfaketime)");
  const launched = await launch({
    spec,
    dir: stateDir(name),
    onProgress: json ? () => {} : printStep,
    signal: interrupt.signal,
    supervisor: supervisorProgram(),
  });
  // The runner is in the lab and ends with it.
  interrupt.signal.addEventListener("abort", () => void launched.end(() => {}));
  try {
    const request = {
      ...{ info: launched.info, seed, durationMs: minutes * 60_000, patience, hasClocks, only },
      flow: labPrograms().container,
    };
    const result = await startSoak(soakRunner(), request, (message) => say(lineOf(message) ?? ""));
    if (json) console.log(JSON.stringify(result, undefined, 2));
    if (result.violations.length > 0) process.exitCode = 1;
  } finally {
    if (!interrupt.signal.aborted) await launched.end(() => {});
  }
}

function lineOf(message: FromSoak): string | undefined {
  if (message.type === "violation") return `VIOLATION: ${message.text}`;
  if (message.type === "done") return formatResult(message.result);
  const { number, faults, faultMs, repairMs } = message.round;
  return `${String(number).padStart(4)}  right after ${String(repairMs).padStart(5)} ms (fault ${faultMs} ms)  ${faults.join(" + ")}`;
}

function formatResult(result: SoakResult): string {
  const { seed, rounds, faults, cells, sent, received, lostToFaults, violations, repairs } = result;
  const rows = Object.entries(repairs).map(
    ([kind, { count, medianMs, maxMs }]) =>
      `  ${kind.padEnd(20)} ${String(count).padStart(4)} ${String(medianMs).padStart(7)} ${String(maxMs).padStart(7)}`,
  );
  return `
  fault alone          times  median     max   ms until all was right
${rows.join("\n")}

seed ${seed}: ${faults} faults in ${rounds} rounds, ${cells} cells looked at
${sent} packets sent, ${received} answered, ${lostToFaults} lost to faults that touched their way
${violations.length === 0 ? "no violation" : `${violations.length} VIOLATIONS`}`;
}
