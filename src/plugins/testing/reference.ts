import { spawn } from "node:child_process";
import { once } from "node:events";
import type { JsonObject } from "../../formats/cni/index.ts";
import { type Answer, answer, type FakeNode } from "./fake-node.ts";

/** Where Debian's containernetworking-plugins are. */
export const REFERENCE_FOLDER = "/usr/lib/cni";

/** Calls the reference plugin that `conf` names by its type. */
export async function reference(
  node: FakeNode,
  command: string,
  pod: string,
  conf: JsonObject,
  more: Record<string, string> = {},
): Promise<Answer> {
  const env = {
    PATH: process.env.PATH ?? "",
    ...node.environment(command, pod, { CNI_PATH: REFERENCE_FOLDER, ...more }),
  };
  const child = spawn(`${REFERENCE_FOLDER}/${conf.type}`, [], { env, stdio: ["pipe", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (data) => (stdout += data));
  child.stderr.on("data", (data) => (stderr += data));
  child.stdin.end(JSON.stringify(conf));
  const [code] = await once(child, "close");
  return answer({ exitCode: code, stdout, stderr });
}
