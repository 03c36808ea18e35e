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
    // The channel closes when this script is killed, and the lab ends.
    stdio: ["inherit", "inherit", "inherit", "ipc"],
  });
  // Stay until the child has cleaned up. The terminal's Ctrl-C it gets itself, and twice is no harm; a signal sent to npm
  // or to us alone it would not see.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  // npm killed: nobody passes anything on any more.
  const npm = process.ppid;
  const watch = setInterval(() => process.ppid === npm || child.kill("SIGTERM"), 500);
  child.on("exit", (code, signal) => {
    clearInterval(watch);
    process.exitCode = code ?? (signal ? 1 : 0);
  });
}
