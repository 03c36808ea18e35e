// What a node's agent leaves beside subnet.env: who it is and how it was started, so that `podpath status` and `podpath
// cleanup` need not be told again, also when it is dead. For root's eyes only, and no password in it.
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isRunning, makeDirectories, type ProcessId, processId } from "../../kernel/index.ts";

export interface RunRecord {
  readonly process: ProcessId;
  /** Its command line, flags only. */
  readonly args: readonly string[];
  /** Its FLANNELD_… variables. */
  readonly env: Readonly<Record<string, string>>;
}

const SECRET = "etcd-password";
const SECRET_VARIABLE = "FLANNELD_ETCD_PASSWORD";

export function recordPath(subnetFile: string): string {
  return join(dirname(subnetFile), "podpath-agent.json");
}

/** The running agent's status, for whoever may connect. */
export function statusSocketPath(subnetFile: string): string {
  return join(dirname(subnetFile), "podpath-agent.sock");
}

export function writeRunRecord(subnetFile: string, started: Pick<RunRecord, "args" | "env">): void {
  const path = recordPath(subnetFile);
  const own = processId(process.pid);
  if (!own) return;
  const { [SECRET_VARIABLE]: _hidden, ...env } = started.env;
  const record: RunRecord = { process: own, args: withoutSecret(started.args), env };
  makeDirectories(dirname(path), 0o755);
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, `${JSON.stringify(record)}\n`, { mode: 0o600 });
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** undefined when there is none, or one that cannot be read. */
export function readRunRecord(subnetFile: string): RunRecord | undefined {
  try {
    const record = JSON.parse(readFileSync(recordPath(subnetFile), "utf8")) as RunRecord;
    return Array.isArray(record.args) && typeof record.process?.pid === "number" ? record : undefined;
  } catch {
    return undefined;
  }
}

/** The agent that wrote the record, if it is running. */
export function runningAgent(record: RunRecord | undefined): number | undefined {
  return record && isRunning(record.process) ? record.process.pid : undefined;
}

/**
 * How the running agent was started, with its password, which the record lacks: from its own command line and
 * environment, which the kernel shows to root alone.
 */
export function secretOf(pid: number): string | undefined {
  const list = (name: string): string[] => {
    try {
      return readFileSync(`/proc/${pid}/${name}`, "utf8").split("\0");
    } catch {
      return [];
    }
  };
  const args = list("cmdline");
  for (const [i, arg] of args.entries()) {
    const [, inline] = new RegExp(`^--?${SECRET}(?:=(.*))?$`, "s").exec(arg) ?? [];
    if (inline !== undefined) return inline;
    if (/^--?etcd-password$/.test(arg)) return args[i + 1];
  }
  const prefix = `${SECRET_VARIABLE}=`;
  return list("environ")
    .find((line) => line.startsWith(prefix))
    ?.slice(prefix.length);
}

function withoutSecret(args: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (/^--?etcd-password$/.test(arg)) i++;
    else if (!/^--?etcd-password=/.test(arg)) kept.push(arg);
  }
  return kept;
}
