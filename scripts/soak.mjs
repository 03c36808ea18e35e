// npm run soak: set up what is missing, then random faults in a lab of its own (docs/lab.md, podpath lab soak --help).
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { setUp } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const status = setUp("soak");
if (status !== 0) process.exitCode = status;
else {
  const { NODE_EXTRA_CA_CERTS: _slow, ...env } = process.env;
  const args = ["dist/cmd/podpath.js", "lab", "soak", ...process.argv.slice(2)];
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: "inherit" });
  // The child gets the terminal's Ctrl-C itself; stay until it has taken its lab down. A signal sent to us alone is passed on.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? (signal ? 1 : 0);
  });
}
