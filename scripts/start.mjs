// npm start: set up what is missing, bring a lab up, run the six scenarios, and keep the lab until Ctrl-C.
// npm start -- --once: the same, then tear down and exit with the scenarios' verdict.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { setUp } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const status = setUp("run");
if (status !== 0) process.exitCode = status;
else {
  const { NODE_EXTRA_CA_CERTS: _slow, ...env } = process.env;
  const child = spawn(process.execPath, ["dist/cmd/podpath.js", "lab", "start", ...process.argv.slice(2)], {
    cwd: root,
    env,
    stdio: "inherit",
  });
  // The child gets the terminal's Ctrl-C itself; stay until it has cleaned up. A signal sent to us alone is passed on.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? (signal ? 1 : 0);
  });
}
