// The one-file Node plugin: what the client executes when no agent listens. Named by argv[0], which the client hands
// over as the first argument. (No top-level await: the bundle is CommonJS.)
import { basename } from "node:path";
import { text } from "node:stream/consumers";
import { CNI_ERROR, CniError, formatError } from "../formats/cni/index.ts";
import { type PluginRequest, runPlugin } from "../plugins/index.ts";

async function main(): Promise<void> {
  const [, self = "", name = self] = process.argv;
  const command = process.env.CNI_COMMAND;
  // Without a verb, or asked for its versions, it has no configuration to wait for.
  const read = async (): Promise<string> => (command && command !== "VERSION" ? await text(process.stdin) : "");
  let request: PluginRequest | undefined;
  const { exitCode, stdout, stderr } = await read().then(
    (stdin) => {
      request = { name, env: process.env, stdin };
      return runPlugin(request);
    },
    (cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const error = new CniError(CNI_ERROR.io, `cannot read the configuration from stdin: ${reason}`);
      return { exitCode: 1, stdout: formatError(error), stderr: "" };
    },
  );
  process.stderr.write(stderr);
  process.exitCode = exitCode;
  const unread = await answer(stdout);
  if (unread === undefined) return;
  process.exitCode = 1;
  process.stderr.write(`podpath CNI plugin ${basename(name)}: nobody reads the answer: ${unread}\n`);
  // As the agent does: an attachment that nobody has heard of is undone.
  if (request && exitCode === 0 && command === "ADD")
    await runPlugin({ ...request, env: { ...request.env, CNI_COMMAND: "DEL" } });
}

/** Why stdout could not be written to; undefined: it was. */
function answer(document: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    process.stdout.on("error", (error) => resolve(error.message));
    process.stdout.write(document, (error) => resolve(error?.message));
  });
}

process.stderr.on("error", () => {}); // who does not listen need not
void main();
