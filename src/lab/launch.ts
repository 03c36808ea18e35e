// Starts a lab from outside: the namespaces, the init in them, and the supervisor below it.
//
//   flock (holds the state folder) -> unshare -> sh, process 1 -> the supervisor -> everything else
//
// unshare dies: --kill-child kills process 1. Process 1 dies: the kernel kills all in its PID namespace. The supervisor
// dies: process 1, which only waits for it (and reaps orphans), ends. With the last process the namespaces go, and with
// them every device, rule and mount: none of the three needs to be able to clean up.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import {
  childrenOf,
  isPrivileged,
  type Mount,
  mountScript,
  type ProcessId,
  processId,
  unshareArgv,
} from "../kernel/index.ts";
import { askToEnd, removeStateDir } from "./end.ts";
import { LabError, LabNameTaken } from "./errors.ts";
import { readLines, writeLine } from "./json-lines.ts";
import type { FromSupervisor, LabInfo, LabProcesses, LabSpec, Progress, ToSupervisor } from "./messages.ts";
import { childEnvironment, missingPrograms } from "./programs.ts";
import { makeStateDir, type StateDir } from "./state-dir.ts";
import { FABRIC_SYSCTLS, sysctlScript } from "./sysctls.ts";

/** flock's answer when somebody else holds the lock. */
const EXIT_LOCKED = 77;

export interface Launched {
  readonly info: LabInfo;
  /** Ends the lab, in order. */
  end(onProgress: (step: Progress) => void): Promise<void>;
  /** Lets the lab live on without this process. */
  detach(): Promise<void>;
  /** Resolves when the lab has ended, for whatever reason. */
  readonly ended: Promise<void>;
}

export interface LaunchOptions {
  readonly spec: LabSpec;
  readonly dir: StateDir;
  readonly onProgress: (step: Progress) => void;
  /** Abort: everything that was made ends, and the promise rejects. */
  readonly signal: AbortSignal;
  /** The supervisor's program. */
  readonly supervisor: string;
}

/** @throws {LabError} when there is such a lab already, or it could not be built; then nothing is left of it */
export async function launch(options: LaunchOptions): Promise<Launched> {
  const { dir, spec, signal } = options;
  const isRootless = !isPrivileged();
  const missing = missingPrograms(["flock", "unshare", "nsenter", "mount", "hostname", ...(spec.etcd ? ["etcd"] : [])]);
  if (missing) throw new LabError("start a lab", missing);
  makeStateDir(dir);
  const logFile = join(dir.path, "supervisor.log");
  const log = openSync(logFile, "a", 0o600);
  const child = spawn("flock", flockArgs(options, isRootless), {
    cwd: "/",
    detached: true,
    env: childEnvironment(),
    stdio: ["ignore", log, log, "pipe"],
  });
  closeSync(log);
  const exited = new Promise<number | null>((resolve) => {
    child.once("error", () => resolve(null));
    child.once("exit", resolve);
  });
  const lifeline = child.stdio[3] as Duplex;
  const abort = (): void => kill(child);
  signal.addEventListener("abort", abort);
  try {
    const info = await untilReady(options, child, lifeline, exited, logFile);
    const ended = exited.then(() => removeStateDir(dir));
    return {
      info,
      end: async (onProgress) => {
        await askToEnd(dir, onProgress);
        await ended;
      },
      detach: () => detach(child, lifeline),
      ended,
    };
  } catch (error) {
    kill(child);
    const code = await exited;
    if (code === EXIT_LOCKED) throw new LabNameTaken(spec.name);
    await removeStateDir(dir);
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function flockArgs({ dir, supervisor }: LaunchOptions, isRootless: boolean): string[] {
  const init = [
    initScript(dir),
    "podpath-lab",
    process.execPath,
    supervisor,
    dir.path,
    isRootless ? "rootless" : "root",
  ];
  const kinds = ["mount", "net", "uts", "ipc", "pid"] as const;
  const unshare = unshareArgv(isRootless ? ["user", ...kinds] : kinds, ["sh", "-c", ...init]);
  return ["--nonblock", "--no-fork", "--conflict-exit-code", String(EXIT_LOCKED), dir.path, ...unshare];
}

/** Process 1: makes the mounts that all nodes share, then does nothing but wait, which also reaps orphans. */
function initScript(dir: StateDir): string {
  const mounts: (Mount & { optional?: boolean })[] = [
    { kind: "tmpfs", target: "/run", ...(dir.path.startsWith("/run/") ? { keep: dir.path } : {}) },
    { kind: "shadow", target: "/etc", own: "cni/net.d" },
    { kind: "shadow", target: "/opt", own: "cni/bin" },
    { kind: "shadow", target: "/var/lib", own: "cni" },
    { kind: "sysfs", target: "/sys", optional: true },
    { kind: "tracefs", target: "/sys/kernel/tracing", optional: true },
  ];
  return `set -e
${mountScript(mounts)}
${sysctlScript(FABRIC_SYSCTLS)}
hostname ${dir.name}
"$@" &
wait $!`;
}

function untilReady(
  { spec, onProgress, signal }: LaunchOptions,
  child: ChildProcess,
  lifeline: Duplex,
  exited: Promise<number | null>,
  logFile: string,
): Promise<LabInfo> {
  return new Promise((resolve, reject) => {
    let failure: LabError | undefined;
    lifeline.on("error", () => {});
    readLines<FromSupervisor>(lifeline, (message) => {
      if (message.type === "hello") {
        const start: ToSupervisor = { type: "start", spec, processes: processesOf(child) };
        writeLine(lifeline, start);
      } else if (message.type === "step") onProgress(message);
      else if (message.type === "failed") failure = new LabError("bring the lab up", { reason: message.message });
      else if (message.type === "ready") resolve(message.info);
    });
    const fail = (): void =>
      reject(
        signal.aborted
          ? new LabError("bring the lab up", { reason: "it was interrupted" })
          : (failure ?? new LabError("bring the lab up", diagnose(logFile))),
      );
    // "failed" is followed by the supervisor's end, so that nothing is left when the promise rejects.
    void exited.then(fail);
  });
}

/** What the machine calls the three processes; only here, outside, can it be seen. */
function processesOf(child: ChildProcess): LabProcesses {
  const id = (pid: number | undefined): ProcessId => processId(pid ?? 0) ?? { pid: pid ?? 0, startTime: "" };
  const init = childrenOf(child.pid ?? 0)[0];
  // The supervisor is the newest child: the scripts before it have ended.
  return { unshare: id(child.pid), init: id(init), supervisor: id(childrenOf(init ?? 0).at(-1)) };
}

/** Process 1's death is certain and complete; unshare then reports it. Before there is a process 1, unshare has to go. */
function kill(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const [init] = childrenOf(child.pid);
  try {
    process.kill(init ?? child.pid, "SIGKILL");
  } catch {
    // It ended by itself meanwhile.
  }
}

function detach(child: ChildProcess, lifeline: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    const died = (): void =>
      reject(new LabError("leave the lab running", { reason: "its supervisor ended meanwhile" }));
    if (lifeline.destroyed) return died();
    lifeline.once("close", died);
    readLines<FromSupervisor>(lifeline, ({ type }) => {
      if (type !== "detached") return;
      lifeline.off("close", died);
      child.unref();
      lifeline.destroy();
      resolve();
    });
    const message: ToSupervisor = { type: "detach" };
    writeLine(lifeline, message);
  });
}

/** Why the namespaces or the supervisor did not come to be: what the programs wrote last. */
function diagnose(logFile: string): { reason: string; advice?: string } {
  const text = existsSync(logFile) ? readFileSync(logFile, "utf8").trim() : "";
  const refused = text.split("\n").find((line) => line.startsWith("unshare: "));
  if (refused?.includes("No space left on device"))
    return { reason: refused, advice: "the limits are in /proc/sys/user/max_*_namespaces" };
  if (refused)
    return {
      reason: refused,
      advice:
        "it needs root (CAP_SYS_ADMIN) or user namespaces; see kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns and user.max_user_namespaces",
    };
  return { reason: text.split("\n").at(-1) || "the supervisor ended without a word" };
}
