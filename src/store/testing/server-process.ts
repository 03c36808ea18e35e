import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const running = new Set<ChildProcess>();
const killAll = (): void => {
  for (const child of running) child.kill("SIGKILL");
};
process.on("exit", killAll);
// What the test runner ends a file with that takes too long.
process.once("SIGTERM", () => {
  killAll();
  process.exit(143);
});

/** A server as a process of its own, so that it can be stopped and killed. */
export class ServerProcess {
  readonly child: ChildProcess;
  /** What it printed, for when it does not start. */
  readonly output: string[] = [];

  constructor(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    running.add(this.child);
    this.child.once("exit", () => running.delete(this.child));
  }

  /** The first line of its output that `pattern` matches. @throws when it ends before */
  waitFor(pattern: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      for (const stream of [this.child.stdout, this.child.stderr]) {
        if (!stream) continue;
        createInterface({ input: stream }).on("line", (line) => {
          this.output.push(line);
          if (pattern.test(line)) resolve(line);
        });
      }
      this.child.once("error", reject);
      const told = (): string => `${this.child.spawnfile} says:\n${this.output.slice(-20).join("\n")}`;
      setTimeout(() => reject(new Error(`no ${pattern} after 60 s; ${told()}`)), 60_000).unref();
      this.child.once("exit", (code, signal) => {
        reject(new Error(`it ended (${code ?? signal}); ${told()}`));
      });
    });
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, "exit");
    this.child.kill(signal);
    await exited;
  }
}
