// A node whose CNI calls can be killed half-way: strace kills the process that does the work as it enters a system call
// that changes something, its first, its second, and so on.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { JsonObject } from "../../formats/cni/index.ts";
import { installCni } from "../../plugins/index.ts";
import { type Document, FakeNode } from "../../plugins/testing/fake-node.ts";

/** By which a process changes the kernel's tables or files. Opening what it then writes to is part of the writing. */
const CALLS = [
  ...["sendto", "sendmsg", "write", "pwrite64", "ftruncate"],
  ...["rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat", "symlink"],
].join(",");

export interface Step {
  /** The system call. */
  readonly call: string;
  readonly nth: number;
}

/** What a client of the agent does. */
const CLIENT_CALLS = "socket,connect,write,sendto,read,recvfrom,shutdown,exit,exit_group";

/** The agent behind the client, the client of an agent that lives on, or the plugin's own process where there is no agent. */
export type Victim = "agent" | "client" | "plugin";

export class KilledNode implements AsyncDisposable {
  readonly node: FakeNode = new FakeNode();
  readonly #victim: Victim;
  readonly #socketPath = this.node.path("run", "cni.sock");
  readonly #more: JsonObject;
  #agent: ChildProcess | undefined;

  /** @param more of flannel's configuration */
  constructor(victim: Victim, more: JsonObject = {}) {
    this.#victim = victim;
    this.#more = more;
    installCni({ binDir: this.node.path("bin"), socketPath: this.#socketPath });
  }

  /** A call that nothing happens to, and that has to succeed. */
  async call(command: string, pod: string, more: JsonObject = {}): Promise<Document> {
    if (this.#victim !== "plugin") await this.#ensureAgent();
    const { code, stdout, stderr } = await this.#execute([], command, pod, more);
    assert.equal(code, 0, `${command} of ${pod}: ${stdout} ${stderr}`);
    return JSON.parse(stdout || "{}");
  }

  /** Each place at which the call can be killed, as it goes when nobody kills it. */
  async steps(command: string, pod: string): Promise<Step[]> {
    const path = this.node.path("strace");
    await this.#traced(["-f", "-o", path, "-e", `trace=${this.#calls}`], command, pod, {});
    const counts = new Map<string, number>();
    for (const [, thread, call] of readFileSync(path, "utf8").matchAll(/^(\d+) +(\w+)\(/gm)) {
      const key = `${thread} ${call}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    rmSync(path);
    // strace counts for each thread and each call by itself.
    return this.#calls.split(",").flatMap((call) => {
      const most = Math.max(0, ...[...counts].filter(([key]) => key.endsWith(` ${call}`)).map(([, count]) => count));
      return Array.from({ length: most }, (_, i) => ({ call, nth: i + 1 }));
    });
  }

  /** Kills the call at a step. Whether it got there: what depends on time does not go the same way each time. */
  kill({ call, nth }: Step, command: string, pod: string, more: JsonObject = {}): Promise<boolean> {
    const inject = `inject=${call}:signal=KILL:when=${nth}`;
    return this.#traced(["-f", "-o", "/dev/null", "-e", `trace=${call}`, "-e", inject], command, pod, more);
  }

  /** Whether the process that did the work was killed. */
  async #traced(options: readonly string[], command: string, pod: string, more: JsonObject): Promise<boolean> {
    if (this.#victim !== "agent") {
      const { signal, code, stderr } = await this.#execute(["strace", ...options], command, pod, more);
      const isKilled = signal === "SIGKILL"; // strace ends as what it traced did
      assert.ok(isKilled || code === 0, `${command} of ${pod} failed by itself: ${stderr}`);
      return isKilled;
    }
    const agent = await this.#ensureAgent();
    const strace = spawn("strace", [...options, "-p", String(agent.pid)], { stdio: ["ignore", "ignore", "pipe"] });
    const ended = once(strace, "close");
    await once(strace.stderr, "data"); // "Process 1 attached"
    await this.#execute([], command, pod, more);
    // What the agent does after its answer is work too.
    await Promise.race([once(agent, "close"), new Promise((resolve) => setTimeout(resolve, 60))]);
    const isKilled = !isAlive(agent);
    strace.kill();
    await ended;
    return isKilled;
  }

  get #calls(): string {
    return this.#victim === "client" ? CLIENT_CALLS : CALLS;
  }

  async #ensureAgent(): Promise<ChildProcess> {
    if (this.#agent && isAlive(this.#agent)) return this.#agent;
    const program = fileURLToPath(new URL("./cni-server-process.js", import.meta.url));
    const agent = spawn(process.execPath, [program, this.#socketPath], { stdio: ["ignore", "pipe", "inherit"] });
    this.#agent = agent;
    await once(agent.stdout, "data");
    return agent;
  }

  async #execute(
    tracer: readonly string[],
    command: string,
    pod: string,
    more: JsonObject,
  ): Promise<{ code: number | null; signal: string | null; stdout: string; stderr: string }> {
    const [program = "", ...args] = [...tracer, this.node.path("bin", "flannel")];
    const env = { ...this.node.environment(command, pod), PATH: process.env.PATH ?? "" };
    const child = spawn(program, args, { env, stdio: "pipe" });
    const [stdout, stderr]: [string[], string[]] = [[], []];
    child.stdout.setEncoding("utf8").on("data", (text: string) => stdout.push(text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => stderr.push(text));
    child.stdin.on("error", () => {}); // killed before it had read
    child.stdin.end(JSON.stringify({ ...this.node.flannelConf(this.#more), cniVersion: "1.1.0", ...more }));
    const [code, signal] = (await once(child, "close")) as [number | null, string | null];
    return { code, signal, stdout: stdout.join(""), stderr: stderr.join("") };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const agent = this.#agent;
    if (agent && isAlive(agent)) {
      agent.kill("SIGKILL");
      await once(agent, "close");
    }
    this.node[Symbol.dispose]();
  }
}

function isAlive({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null;
}
