// A process that the supervisor keeps running in a node: the agents and the store. When it ends (`kill -9` is meant to be
// tried) it is started again after a moment: half a second, and longer while it goes on dying young.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { enterArgv, makeDirectories } from "../kernel/index.ts";
import { LabError } from "./errors.ts";
import type { DaemonInfo, DaemonState } from "./messages.ts";
import { childEnvironment } from "./programs.ts";

const RESTART_MS = 500;
const RESTART_MAX_MS = 10_000;
/** Who lived this long was not dying young. */
const GROWN_UP_MS = 10_000;

export interface DaemonSpec {
  /** `agent/node1` */
  readonly name: string;
  /** Whose namespaces it runs in. */
  readonly nodePid: number;
  readonly argv: readonly string[];
  readonly cwd?: string;
  /** Besides what every process of the lab gets. */
  readonly env?: Readonly<Record<string, string>>;
  readonly logFile: string;
  /**
   * Called with each line it prints on stdout; true says that it is ready. stderr is the log. Without it, stdout is the
   * log too, and the process is taken to be ready when it runs.
   */
  readonly isReadyLine?: (line: string) => boolean;
  readonly onExit?: (how: string) => void;
}

export class Daemon {
  readonly #spec: DaemonSpec;
  #child: ChildProcess | undefined;
  #state: DaemonState = "starting";
  #restarts = 0;
  #deaths = 0;
  #lastExit: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #onReady: (() => void)[] = [];

  constructor(spec: DaemonSpec) {
    this.#spec = spec;
    makeDirectories(dirname(spec.logFile));
    this.#start();
  }

  get name(): string {
    return this.#spec.name;
  }

  info(): DaemonInfo {
    const pid = this.#isAlive ? this.#child?.pid : undefined;
    return {
      name: this.name,
      state: this.#state,
      restarts: this.#restarts,
      ...(pid === undefined ? {} : { pid }),
      ...(this.#lastExit === undefined ? {} : { lastExit: this.#lastExit }),
    };
  }

  get #isAlive(): boolean {
    return this.#state === "starting" || this.#state === "running";
  }

  /** Resolves the next time that it is ready. */
  nextReady(): Promise<void> {
    return new Promise((resolve) => {
      this.#onReady.push(resolve);
    });
  }

  /** @throws {LabError} when it is not running */
  kill(signal: NodeJS.Signals): void {
    if (!this.#isAlive || !this.#child?.kill(signal))
      throw new LabError(`send ${signal} to ${this.name}`, { reason: `it is ${this.#state}` });
  }

  /** Ends it for good: politely, then not. */
  async end(patienceMs = 2000): Promise<void> {
    const child = this.#child;
    clearTimeout(this.#timer);
    const wasAlive = this.#isAlive;
    this.#state = "ended";
    if (!child || !wasAlive) return;
    // A stopped process hears SIGTERM only once it goes on.
    child.kill("SIGTERM");
    child.kill("SIGCONT");
    const impatient = setTimeout(() => child.kill("SIGKILL"), patienceMs);
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    clearTimeout(impatient);
  }

  #start(): void {
    const { nodePid, argv, logFile, isReadyLine, cwd, env } = this.#spec;
    const log = openSync(logFile, "a", 0o600);
    const [program = "", ...args] = enterArgv(nodePid, ["mount", "net", "uts", "ipc"], argv);
    const working = cwd === undefined ? [] : [`--wd=${cwd}`];
    const child = spawn(program, [...working, ...args], {
      cwd: "/",
      env: childEnvironment(env),
      stdio: ["ignore", isReadyLine ? "pipe" : log, log],
    });
    closeSync(log);
    const born = performance.now();
    this.#child = child;
    this.#state = "starting";
    if (isReadyLine && child.stdout) eachLine(child.stdout, (line) => isReadyLine(line) && this.#ready());
    else child.once("spawn", () => this.#ready());
    child.once("error", (error) => this.#ended(`could not be started: ${error.message}`, born));
    child.once("exit", (code, signal) => this.#ended(signal ? `killed by ${signal}` : `exit code ${code}`, born));
  }

  #ready(): void {
    if (this.#state !== "starting") return;
    this.#state = "running";
    const waiting = this.#onReady;
    this.#onReady = [];
    for (const resolve of waiting) resolve();
  }

  #ended(how: string, born: number): void {
    this.#lastExit = how;
    if (this.#state === "ended") return;
    this.#deaths = performance.now() - born > GROWN_UP_MS ? 0 : this.#deaths + 1;
    this.#state = "waiting to restart";
    const delay = Math.min(RESTART_MAX_MS, RESTART_MS * 2 ** Math.max(0, this.#deaths - 1));
    this.#timer = setTimeout(() => {
      this.#restarts++;
      this.#start();
    }, delay);
    this.#spec.onExit?.(how);
  }
}

function eachLine(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
}
