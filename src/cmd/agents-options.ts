import { hostname } from "node:os";
import { readRunRecord, runningAgent, secretOf } from "../agent/index.ts";
import { type AgentCommandLine, agentFlagsOf, readAgentFlags } from "./agent-flags.ts";

/** The flags given here, and for the rest those that this node's agent was started with. @throws {UsageError} */
export function agentsOptions(values: ReadonlyMap<string, unknown>): AgentCommandLine {
  const given = readAgentFlags(values, hostname());
  const record = readRunRecord(given.options.subnetFile);
  if (!record) return given;
  const recorded = agentFlagsOf(record.args, record.env);
  const pid = runningAgent(record);
  const secret = pid === undefined ? undefined : secretOf(pid);
  if (secret !== undefined) recorded.set("etcd-password", secret);
  return readAgentFlags(new Map([...recorded, ...values]), hostname());
}
