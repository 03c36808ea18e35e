// `podpath lab scenarios`: the six scenarios in a running lab, with a hop table each; and `podpath lab start`, which is what
// `npm start` runs: up, scenarios, and stay.
import { closeSync, openSync, writeFileSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { LabError, type LabInfo, type ScenarioResult, startScenarios, theLab } from "../lab/index.ts";
import { labPrograms, scenarioRunner } from "./lab-programs.ts";

type ProbeProtocol = ScenarioResult["protocol"];
const PROTOCOLS: readonly ProbeProtocol[] = ["tcp", "udp", "icmp"];

export interface ScenariosOptions {
  readonly json?: boolean;
  readonly pcapng?: string;
  readonly only: readonly number[];
  readonly protocol: readonly ProbeProtocol[];
}

export function addScenariosCommand(lab: Command): void {
  lab
    .command("scenarios")
    .description("run the six packet scenarios and compare each hop with what must happen; exit 1 on any difference")
    .option("--name <name>", "which lab, when there are several")
    .option("--json", "as data (docs/lab.md has the shape)")
    .option("--pcapng <file>", "also write all frames to a file, one interface a hop")
    .option("--only <n>", "scenario number, 1 to 6 (repeatable)", parseNumber, [])
    .option("--protocol <protocol>", "tcp, udp or icmp (repeatable)", parseProtocol, [])
    .action(async ({ name, ...options }: ScenariosOptions & { name?: string }) => {
      if (!(await scenarios(await theLab(name), options))) process.exitCode = 1;
    });
}

function parseNumber(text: string, list: readonly number[]): number[] {
  if (!/^[1-6]$/.test(text)) throw new InvalidArgumentError("want a number from 1 to 6.");
  return [...list, Number(text)];
}

function parseProtocol(text: string, list: readonly ProbeProtocol[]): ProbeProtocol[] {
  const found = PROTOCOLS.find((protocol) => protocol === text.toLowerCase());
  if (!found) throw new InvalidArgumentError("want tcp, udp or icmp.");
  return [...list, found];
}

/** @returns whether everything is as the walks say */
export async function scenarios(info: LabInfo, options: ScenariosOptions): Promise<boolean> {
  const { container } = labPrograms();
  const pcapng = options.pcapng === undefined ? undefined : openForFrames(options.pcapng);
  const results: ScenarioResult[] = [];
  const skipped: { number: number; title: string; reason: string }[] = [];
  const request = {
    ...{ info, only: options.only, pcapng: pcapng !== undefined, probe: container },
    protocols: options.protocol.length > 0 ? options.protocol : PROTOCOLS,
    columns: process.stdout.columns ?? 120,
  };
  await startScenarios(scenarioRunner(), request, (message) => {
    if (message.type === "scenario") {
      results.push(message.result);
      if (!options.json) printScenario(message.result, message.table);
    } else if (message.type === "skipped") {
      skipped.push({ number: message.number, title: message.title, reason: message.reason });
      if (!options.json) console.log(`${message.number} ${message.title}: left out, ${message.reason}\n`);
    } else if (message.type === "pcapng" && pcapng !== undefined)
      writeFileSync(pcapng, Buffer.from(message.base64, "base64"));
  });
  if (pcapng !== undefined) closeSync(pcapng);
  if (options.json) console.log(JSON.stringify({ scenarios: results, skipped }, undefined, 2));
  else printVerdict(results, options.pcapng);
  return results.length > 0 && results.every(({ ok }) => ok);
}

/** Before the scenarios run, so that they do not run for nothing. */
function openForFrames(path: string): number {
  try {
    return openSync(path, "w");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new LabError(`write the frames to ${path}`, { reason, advice: "give --pcapng another file", cause });
  }
}

function printScenario(result: ScenarioResult, table: string): void {
  const { number, title, protocol, from, to, ok, differences, error, unavailable } = result;
  console.log(`${number} ${title}, ${protocol}: ${from} -> ${to}: ${ok ? "as expected" : "DIFFERENT"}`);
  console.log(table);
  for (const difference of differences) console.log(`  ${difference.leg} hop ${difference.hop}: ${difference.text}`);
  if (error !== undefined) console.log(`  ${error}`);
  for (const text of unavailable) console.log(`  not observed: ${text}`);
  console.log("");
}

function printVerdict(results: readonly ScenarioResult[], pcapng: string | undefined): void {
  const failed = results.filter(({ ok }) => !ok);
  const hops = results.reduce((sum, { request, reply }) => sum + request.hops.length + reply.hops.length, 0);
  console.log(
    failed.length === 0
      ? `all ${results.length} as expected, ${hops} hops`
      : `${failed.length} of ${results.length} DIFFERENT: ${failed.map(({ number, protocol }) => `${number} ${protocol}`).join(", ")}`,
  );
  if (pcapng !== undefined) console.log(`frames in ${pcapng}`);
}
