// A container: a process in the pod's network, host name and IPC namespaces, with mount and PID namespaces of its own. Its
// file system is the machine's, read-only.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { dirname } from "node:path";
import type { Container } from "../../formats/kubernetes/index.ts";
import { childrenOf, enterArgv, type Mount, makeDirectories, mountScript, unshareArgv } from "../../kernel/index.ts";
import { LabError } from "../errors.ts";
import { lastLine } from "../logs.ts";
import type { ContainerInfo } from "../messages.ts";
import { childEnvironment } from "../programs.ts";

/** On this descriptor the echo server says that it listens. */
const READY_FD = 3;

export interface ContainerOptions {
  readonly container: Container;
  /** The pod's anchor. */
  readonly podPid: number;
  readonly podName: string;
  readonly logFile: string;
  /** What a container without a command runs: the echo server. */
  readonly defaultCommand: readonly string[];
  /** A folder that must not be hidden by the container's own /tmp. */
  readonly programFolder: string;
}

export class RunningContainer {
  readonly container: Container;
  readonly #child: ChildProcess;

  private constructor(container: Container, child: ChildProcess) {
    this.container = container;
    this.#child = child;
  }

  /** Resolves when it runs; for the echo server, when it listens. */
  static async start(options: ContainerOptions): Promise<RunningContainer> {
    const { container, podPid, logFile } = options;
    makeDirectories(dirname(logFile));
    const log = openSync(logFile, "a", 0o600);
    const isEcho = runsEcho(container);
    const script = [
      "set -e",
      mountScript(mounts(options.programFolder)),
      // Only the echo server has a use for the descriptor.
      isEcho ? ":" : `echo started >&${READY_FD}; exec ${READY_FD}>&-`,
      'exec "$@"',
    ].join("\n");
    const command = isEcho ? echoCommand(options) : [...(container.command ?? []), ...(container.args ?? [])];
    // The container's own PATH or LD_PRELOAD is for its command only, not for the programs that make the container.
    const env = container.env.map(({ name, value }) => `${name}=${value}`);
    const inside = unshareArgv(
      ["mount", "pid"],
      ["sh", "-c", script, container.name, ...(env.length > 0 ? ["env", "--", ...env] : []), ...command],
    );
    const [program = "", ...args] = enterArgv(podPid, ["mount", "net", "uts", "ipc"], inside);
    const child = spawn(program, args, {
      cwd: "/",
      env: childEnvironment({ HOSTNAME: options.podName }),
      stdio: ["ignore", log, log, "pipe"],
    });
    closeSync(log);
    await untilSaid(child, isEcho ? "listening" : "started", {
      name: `${options.podName}/${container.name}`,
      logFile,
    });
    return new RunningContainer(container, child);
  }

  info(): ContainerInfo {
    const { pid, exitCode, signalCode } = this.#child;
    const isRunning = exitCode === null && signalCode === null;
    const [init] = isRunning && pid !== undefined ? childrenOf(pid) : [];
    return {
      name: this.container.name,
      state: isRunning ? "running" : "ended",
      isEcho: runsEcho(this.container),
      ...(init === undefined ? {} : { pid: init }),
      ports: portsOf(this.container),
    };
  }

  /** With unshare dies the container's process 1, and with that all the rest of it. */
  end(): void {
    this.#child.kill("SIGKILL");
  }
}

function mounts(programFolder: string): (Mount & { optional?: boolean })[] {
  return [
    { kind: "tmpfs", target: "/run" },
    ...(programFolder.startsWith("/tmp/") ? [] : [{ kind: "tmpfs", target: "/tmp" } as const]),
    { kind: "read-only-root", optional: true },
  ];
}

export function runsEcho({ command, args }: Container): boolean {
  return command === undefined && args === undefined;
}

/** What it says it listens on; an echo server that says nothing listens on 8080. */
export function portsOf(container: Container): ContainerInfo["ports"] {
  const ports = container.ports.map(({ containerPort, protocol }) => ({ port: containerPort, protocol }));
  return ports.length === 0 && runsEcho(container) ? [{ port: 8080, protocol: "TCP" }] : ports;
}

function echoCommand({ container, defaultCommand }: ContainerOptions): string[] {
  return [...defaultCommand, ...new Set(portsOf(container).map(({ port }) => String(port)))];
}

function untilSaid(
  child: ChildProcess,
  word: string,
  { name, logFile }: { name: string; logFile: string },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string): void => reject(new LabError(`start container ${name}`, { reason }));
    let said = "";
    const stream = child.stdio[READY_FD];
    stream?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes(word)) resolve();
    });
    stream?.on("error", () => {});
    child.once("error", (error) => fail(error.message));
    child.once("exit", (code, signal) => {
      // Said here: when the lab comes down over this, its logs go too.
      const last = lastLine(logFile);
      fail(`it ended at once (${signal ?? `exit code ${code}`})${last === undefined ? "" : `: ${last}`}`);
    });
  });
}
