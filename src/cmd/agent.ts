import { hostname } from "node:os";
import { type AgentStatus, runAgent } from "../agent/index.ts";
import { AGENT_FLAGS, ENV_PREFIX, parseAgentFlags } from "./agent-flags.ts";
import { helpOf } from "./go-flags.ts";
import { createLog } from "./log.ts";
import { preferSmallHeap } from "./small-heap.ts";

/** `podpath agent …`, or `flanneld …`. @throws {UsageError} and what hinders the node from starting */
export async function agentCommand(called: string, args: readonly string[], version: string): Promise<void> {
  // Whoever read it may be gone: no reason for a daemon to end, as it is for the other commands.
  process.stdout.removeAllListeners("error").on("error", () => {});
  const parsed = parseAgentFlags(args, process.env, hostname());
  if (parsed === "version") return void process.stderr.write(`${version}\n`);
  if (parsed === "help") return void process.stdout.write(help(called));
  const { options, logLevel, ignored } = parsed;
  const log = createLog("podpath-agent", logLevel);
  if (ignored.length > 0) log.warn({}, `without effect here: ${ignored.map((name) => `--${name}`).join(", ")}`);
  const controller = new AbortController();
  // Once: a second signal ends a process that hangs.
  for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => controller.abort());
  let status: () => AgentStatus | undefined = () => undefined;
  process.on("SIGUSR2", () => say({ status: status() ?? "starting" }));
  const onReady = (report: object, current: () => AgentStatus): void => {
    status = current;
    say(report);
    preferSmallHeap();
  };
  const variables = Object.entries(process.env).filter(([name]) => name.startsWith(`${ENV_PREFIX}_`));
  const started = { args, env: Object.fromEntries(variables) as Record<string, string> };
  await runAgent(options, { log, version, onReady, started }, controller.signal);
}

function say(report: object): void {
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

function help(called: string): string {
  return `Usage: ${called} [flags]

Runs the daemon of one node. -x and --x, -x=v and -x v are the same; what is true or false is written -x or -x=false.
A flag left out is read from ${ENV_PREFIX}_<FLAG>, as in ${ENV_PREFIX}_ETCD_PREFIX.

${helpOf(AGENT_FLAGS)}
When the node is up, one line is written to stdout: {"ready":true,"subnet":"10.244.1.0/24",...}. The log goes to stderr.
SIGUSR2 writes the node's status to stdout. SIGTERM and SIGINT end the daemon and leave the network as it is.
`;
}
