// npm test: set up what is missing, then run every test. Arguments are paths of compiled tests or folders
// (npm test -- dist/formats); without any, all of dist and the benchmarks' own.
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { setUp } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const status = setUp("test");
if (status !== 0) process.exitCode = status;
else {
  const targets = process.argv.slice(2);
  const { NODE_EXTRA_CA_CERTS: _slow, ...env } = process.env;
  const concurrency = Math.max(2, Math.min(4, availableParallelism()));
  const args = ["--enable-source-maps", "--test", `--test-concurrency=${concurrency}`, "--test-reporter=spec"];
  const child = spawn(process.execPath, [...args, ...(targets.length > 0 ? targets : ["dist", "bench"])], {
    cwd: root,
    env,
    stdio: ["ignore", "inherit", "inherit"],
  });
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? (signal ? 1 : 0);
  });
}
