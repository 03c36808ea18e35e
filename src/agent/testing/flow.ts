import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { inNs, type NetNs } from "../../kernel/index.ts";

const SERVER = `
require("node:net").createServer((socket) => socket.on("error", () => {}).pipe(socket))
  .listen(9000, process.argv[1], () => console.log("listening"));`;
// One number at a time, echoed back: the next goes out when the last has come back whole.
const CLIENT = `
const socket = require("node:net").connect(9000, process.argv[1]);
socket.setNoDelay(true).setEncoding("utf8");
let sent = 0, text = "";
const next = () => socket.write(++sent + "\\n");
socket.on("connect", () => { console.log("connected"); next(); });
socket.on("data", (data) => {
  text += data;
  if (text !== sent + "\\n") return;
  text = "";
  setTimeout(next, 1);
});
socket.on("close", () => { console.log("closed"); process.exit(1); });
process.on("SIGUSR2", () => console.log("count " + sent));`;

/** An established TCP connection that never rests, from one namespace to an address of another. */
export class Flow implements AsyncDisposable {
  readonly #server: ChildProcess;
  readonly #client: ChildProcess;
  readonly #namespaces: readonly NetNs[];
  readonly #lines: AsyncIterator<string>;

  private constructor(server: ChildProcess, client: ChildProcess, namespaces: readonly NetNs[]) {
    this.#server = server;
    this.#client = client;
    this.#namespaces = namespaces;
    assert.ok(client.stdout);
    this.#lines = createInterface({ input: client.stdout })[Symbol.asyncIterator]();
  }

  static async open(from: NetNs, to: NetNs, address: string): Promise<Flow> {
    const start = (ns: NetNs, program: string): ChildProcess =>
      inNs(ns, () => spawn(process.execPath, ["-e", program, address], { stdio: ["ignore", "pipe", "inherit"] }));
    const server = start(to, SERVER);
    assert.ok(server.stdout);
    const failed = once(server, "exit").then(() => assert.fail(`cannot serve on ${address}`));
    await Promise.race([once(server.stdout, "data"), failed]);
    failed.catch(() => {});
    const flow = new Flow(server, start(from, CLIENT), [from, to]);
    assert.equal(await flow.#line(), "connected");
    return flow;
  }

  async #line(): Promise<string> {
    return (await this.#lines.next()).value;
  }

  /** How many round trips there were, asked of the living connection. */
  async count(): Promise<number> {
    this.#client.kill("SIGUSR2");
    const [word, count] = (await this.#line()).split(" ");
    assert.equal(word, "count");
    return Number(count);
  }

  /** Resolves when so many more round trips have been made. */
  async more(roundTrips: number): Promise<void> {
    const goal = (await this.count()) + roundTrips;
    while ((await this.count()) < goal);
  }

  /** TCP segments that had to be sent again, in both namespaces: a packet was lost for each. */
  retransmissions(): number {
    return this.#namespaces.reduce((sum, ns) => sum + tcpCounter(ns, "RetransSegs"), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of [this.#client, this.#server]) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  }
}

function tcpCounter(ns: NetNs, name: string): number {
  const snmp = inNs(ns, () => readFileSync("/proc/thread-self/net/snmp", "utf8"));
  const [names, values] = snmp.split("\n").filter((line) => line.startsWith("Tcp:"));
  const column = names?.split(" ").indexOf(name) ?? -1;
  return Number(values?.split(" ")[column]);
}
