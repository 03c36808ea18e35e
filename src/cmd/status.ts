// `podpath status`: what the running agent says of its node; without one, what this command sees by itself.
import {
  type AgentInfo,
  askAgent,
  exitCodeOf,
  lookAtNode,
  type NodeStatus,
  openStore,
  readRunRecord,
  runningAgent,
  statusSocketPath,
} from "../agent/index.ts";
import { AGENT_FLAGS, type AgentCommandLine, ENV_PREFIX } from "./agent-flags.ts";
import { agentsOptions } from "./agents-options.ts";
import { addEnvironment, bool, helpOf, parseArguments } from "./go-flags.ts";
import { formatStatus } from "./status-text.ts";

const OWN_FLAGS = [
  bool("json", "as data"),
  bool("no-agent", "do not ask the running agent: look with the store's leases"),
];

/** @throws {UsageError} */
export async function statusCommand(args: readonly string[]): Promise<void> {
  const values = parseArguments([...OWN_FLAGS, ...AGENT_FLAGS], args);
  if (values.get("help") || values.get("h")) return void process.stdout.write(help());
  addEnvironment(values, AGENT_FLAGS, ENV_PREFIX, process.env);
  const { options } = agentsOptions(values);
  const status = await statusOf(options, Boolean(values.get("no-agent")));
  process.stdout.write(`${values.get("json") ? JSON.stringify(status, undefined, 2) : formatStatus(status)}\n`);
  process.exitCode = exitCodeOf(status);
}

async function statusOf(options: AgentCommandLine["options"], isAlone: boolean): Promise<NodeStatus> {
  const answer = isAlone ? undefined : await askAgent(statusSocketPath(options.subnetFile));
  if (answer !== undefined && answer !== "silent") return answer;
  const pid = runningAgent(readRunRecord(options.subnetFile));
  const agent: AgentInfo =
    pid === undefined && answer === undefined
      ? { state: "not running" }
      : { state: isAlone ? "running" : "silent", ...(pid !== undefined && { pid }) };
  const quiet = (): void => {};
  await using store = await openStore(options, { debug: quiet, info: quiet, warn: quiet, error: quiet });
  return await lookAtNode({ options, store, agent });
}

function help(): string {
  return `Usage: podpath status [--json] [--no-agent] [flags of podpath agent]

Shows this node's kernel against the leases: the node, its checks, and a row for each peer. The running agent is asked;
without one the store is, and the flags that the last agent here was started with are known.
Exit status: 0 all as the leases say, 1 drift, 2 cannot tell.

${helpOf(OWN_FLAGS)}`;
}
