// Constant traffic between all pods: TCP, UDP and ICMP from each to every other. Runs inside the lab.
import { type ChildProcess, spawn } from "node:child_process";
import { enterArgv } from "../../kernel/index.ts";
import type { ProbeProtocol } from "../../model/index.ts";
import { LabError } from "../errors.ts";
import { readLines } from "../json-lines.ts";
import type { LabInfo, PodInfo } from "../messages.ts";
import { childEnvironment } from "../programs.ts";
import type { Loss } from "./messages.ts";

const PROTOCOLS: readonly ProbeProtocol[] = ["tcp", "udp", "icmp"];
const INTERVAL_MS = 25;
const PORT = 8080;
const START_MS = 30_000;
/** Longer than UDP and ICMP wait for an answer. */
const SETTLE_MS = 3500;

interface Path {
  readonly protocol: ProbeProtocol;
  readonly from: PodInfo;
  readonly to: PodInfo;
}

type Said =
  | { readonly type: "answered"; readonly flow: number }
  | { readonly type: "lost"; readonly flow: number; readonly sentMs: number; readonly waitingSinceMs: number }
  | { readonly type: "count"; readonly sent: number; readonly received: number };

export class Flows implements Disposable {
  readonly losses: Loss[] = [];
  readonly #children: ChildProcess[] = [];
  readonly #counts = new Map<ChildProcess, { sent: number; received: number }>();
  #onCount = (): void => {};

  /** Resolves when every flow has had an answer. @throws {LabError} */
  static async start(info: LabInfo, flow: readonly string[]): Promise<Flows> {
    const flows = new Flows();
    const started = info.pods.map((from, i) => {
      // A ping goes one way and its answer the other, so each pair needs to be there but once.
      const paths = info.pods.slice(i + 1).flatMap((to) => PROTOCOLS.map((protocol): Path => ({ protocol, from, to })));
      return paths.length === 0 ? undefined : flows.#start(from, paths, flow);
    });
    try {
      await Promise.all(started);
    } catch (error) {
      flows[Symbol.dispose]();
      throw error;
    }
    return flows;
  }

  #start(from: PodInfo, paths: readonly Path[], flow: readonly string[]): Promise<void> {
    const specs = paths.map(({ protocol, to }) => `${protocol},${to.ips[0]},${PORT}`);
    // With the machine's files: ICMP needs the FFI library.
    const argv = enterArgv(from.pid, ["net"], [...flow, "flow", String(INTERVAL_MS), ...specs]);
    const [program = "", ...args] = argv;
    const child = spawn(program, args, { cwd: "/", env: childEnvironment(), stdio: ["pipe", "pipe", "inherit"] });
    this.#children.push(child);
    child.stdin.on("error", () => {});
    return new Promise((resolve, reject) => {
      const fail = (reason: string): void => reject(new LabError(`start the flows of ${from.name}`, { reason }));
      const timer = setTimeout(() => fail(`not all had an answer after ${START_MS / 1000} s`), START_MS);
      const silent = new Set(paths.keys());
      child.once("error", (error) => fail(error.message));
      child.once("exit", (code, signal) => fail(`it ended (${signal ?? code})`));
      readLines<Said>(child.stdout, (said) => {
        if (said.type === "count") {
          this.#counts.set(child, said);
          this.#onCount();
          return;
        }
        const path = paths[said.flow];
        if (said.type === "answered") silent.delete(said.flow);
        else if (path && silent.size === 0) this.losses.push(lossOf(path, said));
        if (silent.size > 0) return;
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Sends no more, waits for what is under way, and counts. */
  async stop(): Promise<{ readonly sent: number; readonly received: number }> {
    for (const { stdin } of this.#children) stdin?.write("stop\n");
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const counted = new Promise<void>((resolve) => {
      this.#onCount = () => {
        if (this.#counts.size === this.#children.length) resolve();
      };
    });
    for (const { stdin } of this.#children) stdin?.write("count\n");
    await counted;
    const counts = [...this.#counts.values()];
    const sum = (of: "sent" | "received"): number => counts.reduce((total, count) => total + count[of], 0);
    return { sent: sum("sent"), received: sum("received") };
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) child.kill("SIGKILL");
  }
}

function lossOf({ protocol, from, to }: Path, said: { sentMs: number; waitingSinceMs: number }): Loss {
  const { sentMs, waitingSinceMs } = said;
  return { protocol, from: from.name, fromNode: from.node, to: to.name, toNode: to.node, sentMs, waitingSinceMs };
}
