// Executes a CNI plugin in a node, as a container runtime does: environment and stdin in, a document on stdout back.
import { spawn } from "node:child_process";
import { CniError, parseError } from "../../formats/cni/index.ts";
import { enterArgv } from "../../kernel/index.ts";
import { CNI_BIN } from "../node.ts";
import { childEnvironment } from "../programs.ts";

export interface Attachment {
  readonly containerId: string;
  /** Path of the pod's namespace, as the node sees it. */
  readonly netns: string;
  readonly ifName: string;
  readonly args: string;
}

export interface PluginCall extends Attachment {
  readonly command: "ADD" | "CHECK" | "DEL";
  readonly type: string;
  readonly stdin: string;
}

/** @returns what it printed @throws {CniError} as the plugin put it, its name first */
export async function executePlugin(nodePid: number, call: PluginCall): Promise<string> {
  const env = childEnvironment({
    CNI_COMMAND: call.command,
    CNI_CONTAINERID: call.containerId,
    CNI_NETNS: call.netns,
    CNI_IFNAME: call.ifName,
    CNI_ARGS: call.args,
    CNI_PATH: CNI_BIN,
  });
  // The runtime of a node is in the node's namespaces, and so are its plugins.
  const [program = "", ...args] = enterArgv(nodePid, ["mount", "net", "uts", "ipc"], [`${CNI_BIN}/${call.type}`]);
  const child = spawn(program, args, { cwd: "/", env, stdio: ["pipe", "pipe", "pipe"] });
  const output = collect(child.stdout);
  const errors = collect(child.stderr);
  const code = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });
  child.stdin.on("error", () => {});
  child.stdin.end(call.stdin);
  const [stdout, stderr, exitCode] = await Promise.all([output, errors, code]);
  if (exitCode === 0) return stdout;
  const said = parseError(stdout);
  const text = said
    ? `${said.message}${said.details ? `: ${said.details}` : ""}`
    : stderr.trim() || `exit code ${exitCode}`;
  throw new CniError(said?.code ?? 999, `${call.type} ${call.command} failed: ${text}`);
}

async function collect(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
