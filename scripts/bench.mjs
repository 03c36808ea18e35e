// npm run bench: set up what is missing, then measure in a lab of its own (docs/benchmarks.md). The command line is read
// first, so that a mistake in it costs no set-up.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseOptions, USAGE, UsageError } from "../bench/options.mjs";
import { setUp } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const args = process.argv.slice(2);

process.exitCode = await main();

async function main() {
  try {
    if (parseOptions(args).help) {
      console.log(USAGE);
      return 0;
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`podpath bench: ${error.message}; npm run bench -- --help lists the options`);
    return 2;
  }
  const status = setUp("bench");
  return status === 0 ? await measure() : status;
}

function measure() {
  // Node reads that file at every start, which doubles the time of starting (and is nothing that a benchmark needs).
  const { NODE_EXTRA_CA_CERTS: _slow, ...env } = process.env;
  const child = spawn(process.execPath, ["bench/main.mjs", ...args], { cwd: root, env, stdio: "inherit" });
  // The child gets the terminal's Ctrl-C itself; stay until it has taken its lab down. A signal sent to us alone is passed on.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  return new Promise((resolve) => child.on("exit", (code, signal) => resolve(code ?? (signal ? 1 : 0))));
}
