// Runs one probe where it belongs and reads its verdict.
import { spawn } from "node:child_process";
import { enterArgv } from "../../kernel/index.ts";
import type { ProbeProtocol } from "../../model/index.ts";
import { LabError } from "../errors.ts";
import { childEnvironment } from "../programs.ts";
import type { ProbePlan } from "./plan.ts";

export interface ProbeTag {
  readonly id: string;
  readonly bytes: number;
}

/** @throws {LabError} when no answer came */
export async function runProbe(
  program: readonly string[],
  plan: ProbePlan,
  protocol: ProbeProtocol,
  { id, bytes }: ProbeTag,
): Promise<void> {
  const options = ["--protocol", protocol, "--host", plan.host, "--port", plan.port, "--id", id, "--bytes", bytes];
  const kinds = ["mount", "net", "uts", "ipc", ...(plan.isContainer ? (["pid"] as const) : [])] as const;
  const [command = "", ...args] = enterArgv(plan.pid, kinds, [...program, "probe", ...options.map(String)]);
  const child = spawn(command, args, { cwd: "/", env: childEnvironment(), stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code === 0) return;
  const { error } = (stdout ? JSON.parse(stdout) : {}) as { error?: string };
  throw new LabError(`probe ${plan.host} from ${plan.from} over ${protocol}`, {
    reason: error ?? (stderr.trim() || "no answer came"),
  });
}
