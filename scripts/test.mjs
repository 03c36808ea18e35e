// npm test: set up what is missing, then run every test. Arguments are paths of compiled tests or folders
// (npm test -- dist/formats); without any, all of dist and the benchmarks' own.
import { spawn } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { setUp } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const status = setUp("test");
if (status !== 0) process.exitCode = status;
else {
  const named = process.argv.slice(2);
  const targets = (named.length > 0 ? named : ["dist", "bench"]).flatMap(testsIn);
  const { NODE_EXTRA_CA_CERTS: _slow, ...env } = process.env;
  const concurrency = Math.max(2, Math.min(4, availableParallelism()));
  const args = ["--enable-source-maps", "--test", `--test-concurrency=${concurrency}`, "--test-reporter=spec"];
  const child = spawn(process.execPath, [...args, ...targets], {
    cwd: root,
    env,
    stdio: ["ignore", "inherit", "inherit"],
  });
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? (signal ? 1 : 0);
  });
}

/** The test files at a path. Node 20 takes folders, Node 22 takes patterns; both take files. */
function testsIn(path) {
  const place = resolve(root, path);
  if (!statSync(place, { throwIfNoEntry: false })?.isDirectory()) return [path];
  return readdirSync(place, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.test\.m?js$/.test(name))
    .sort()
    .map((name) => join(path, name));
}
