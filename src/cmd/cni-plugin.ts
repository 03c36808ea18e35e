// The one-file Node plugin: what the client executes when no agent listens. Named by argv[0], which the client hands
// over as the first argument. (No top-level await: the bundle is CommonJS.)
import { text } from "node:stream/consumers";
import { runPlugin } from "../plugins/index.ts";

async function main(): Promise<void> {
  const [, self = "", name = self] = process.argv;
  const command = process.env.CNI_COMMAND;
  // Without a verb, or asked for its versions, it has no configuration to wait for.
  const stdin = command && command !== "VERSION" ? await text(process.stdin) : "";
  const { exitCode, stdout, stderr } = await runPlugin({ name, env: process.env, stdin });
  process.stderr.write(stderr);
  process.stdout.write(stdout);
  process.exitCode = exitCode;
}

void main();
