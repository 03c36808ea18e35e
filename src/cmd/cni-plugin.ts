// The one-file Node plugin: what the client executes when no agent listens. Named by argv[0], which the client hands
// over as the first argument. (No top-level await: the bundle is CommonJS.)
import { text } from "node:stream/consumers";
import { CNI_ERROR, CniError, formatError } from "../formats/cni/index.ts";
import { runPlugin } from "../plugins/index.ts";

async function main(): Promise<void> {
  const [, self = "", name = self] = process.argv;
  const command = process.env.CNI_COMMAND;
  // Without a verb, or asked for its versions, it has no configuration to wait for.
  const read = async (): Promise<string> => (command && command !== "VERSION" ? await text(process.stdin) : "");
  const { exitCode, stdout, stderr } = await read().then(
    (stdin) => runPlugin({ name, env: process.env, stdin }),
    (cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const error = new CniError(CNI_ERROR.io, `cannot read the configuration from stdin: ${reason}`);
      return { exitCode: 1, stdout: formatError(error), stderr: "" };
    },
  );
  process.stderr.write(stderr);
  process.stdout.write(stdout);
  process.exitCode = exitCode;
}

void main();
