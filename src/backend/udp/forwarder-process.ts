import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { Socket } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { connectAbstract, inNs, type NetNs } from "../../kernel/index.ts";
import type { Log, Traffic } from "../backend.ts";
import { BackendError } from "../errors.ts";
import { type ForwarderConfig, type FromForwarder, socketName, type ToForwarder } from "./protocol.ts";

const FOLDER = fileURLToPath(new URL("./forwarder/", import.meta.url));
/** It answers within a batch of packets, a millisecond; a busy machine takes longer to start it. */
const PATIENCE_MS = 10_000;
const NO_TRAFFIC: Traffic = { packets: { tx: 0, rx: 0 }, bytes: { tx: 0, rx: 0 }, drops: {} };

export interface ForwarderOptions {
  readonly device: string;
  readonly ns?: NetNs | undefined;
  readonly log: Log;
}

/**
 * The agent's end of its forwarder: found when an earlier agent left one, else started. It goes on when we end. One
 * that runs other code than ours (an upgrade) is replaced.
 */
export class ForwarderProcess {
  readonly #options: ForwarderOptions;
  #socket: Socket | undefined;
  #traffic: Traffic = NO_TRAFFIC;
  /** The table that the forwarder has from us. */
  #peers: string | undefined;
  #heard: ((message: FromForwarder) => void) | undefined;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  get traffic(): Traffic {
    return this.#traffic;
  }

  /** Makes it be, and be as `config` says. @throws {BackendError} with what it could not do */
  async configure(config: ForwarderConfig & Required<Pick<ForwarderConfig, "peers">>): Promise<void> {
    const socket = this.#socket ?? (await this.#connect());
    const { peers, ...rest } = config;
    const text = JSON.stringify(peers);
    // The table of a large cluster takes it milliseconds to read, in which packets wait.
    const { problem } = await this.#ask(socket, { config: text === this.#peers ? rest : config }, "configured");
    this.#peers = problem === undefined ? text : undefined;
    if (problem !== undefined) throw new BackendError(problem);
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  async #connect(): Promise<Socket> {
    const build = buildOf(FOLDER);
    for (let attempt = 0; attempt < 3; attempt++) {
      const socket = this.#find() ?? (await this.#start(build));
      if (!socket) continue;
      const hello = await this.#ask(socket, undefined, "hello");
      if (hello.build === build) {
        this.#options.log.info({ device: this.#options.device, pid: hello.pid }, "the udp forwarder carries packets");
        return socket;
      }
      this.#options.log.info({ pid: hello.pid }, "replacing the udp forwarder, which runs another version");
      const closed = once(socket, "close");
      socket.write(`${JSON.stringify({ end: true } satisfies ToForwarder)}\n`);
      await Promise.race([closed, delay(PATIENCE_MS, undefined, { ref: false })]);
      socket.destroy();
    }
    throw new BackendError(`Cannot start the udp forwarder of ${this.#options.device}: another one is in its place`);
  }

  #find(): Socket | undefined {
    const { device, ns } = this.#options;
    const fd = connectAbstract(socketName(device), ns);
    if (fd === undefined) return undefined;
    const socket = new Socket({ fd });
    socket.on("error", () => {});
    socket.once("close", () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
    createInterface({ input: socket }).on("line", (line) => this.#hear(JSON.parse(line)));
    this.#socket = socket;
    this.#peers = undefined;
    return socket;
  }

  /** Undefined: somebody else's was faster. */
  async #start(build: string): Promise<Socket | undefined> {
    const { device, ns, log } = this.#options;
    const { NODE_EXTRA_CA_CERTS: _slow, NODE_OPTIONS: _ours, ...env } = process.env;
    const start = () =>
      spawn(process.execPath, ["--max-semi-space-size=1", `${FOLDER}main.js`, device, build], {
        // Nothing of ours that it would hold on to.
        ...{ cwd: "/", env, detached: true, stdio: ["ignore", "pipe", "pipe"] },
      });
    const child = ns ? inNs(ns, start) : start();
    let said = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-2000);
    });
    child.once("exit", (code, signal) => {
      log.warn({ pid: child.pid, code, signal, stderr: said.trim() }, `the udp forwarder of ${device} ended`);
    });
    child.on("error", () => {});
    const isListening = await Promise.race([
      once(child.stdout as NodeJS.ReadableStream, "data").then(() => true),
      once(child, "exit").then(() => false),
      delay(PATIENCE_MS, false, { ref: false }),
    ]);
    child.unref();
    (child.stdout as Socket).unref();
    (child.stderr as Socket).unref();
    const socket = isListening || said.includes("EADDRINUSE") ? this.#find() : undefined;
    if (!socket && said) throw new BackendError(`Cannot start the udp forwarder of ${device}: ${lastLine(said)}`);
    return socket;
  }

  #hear(message: FromForwarder): void {
    if ("traffic" in message) this.#traffic = message.traffic;
    else this.#heard?.(message);
  }

  async #ask<K extends "hello" | "configured">(
    socket: Socket,
    question: ToForwarder | undefined,
    key: K,
  ): Promise<Extract<FromForwarder, Record<K, unknown>>[K]> {
    let timer: NodeJS.Timeout | undefined;
    const onClose: { call?: () => void } = {};
    try {
      return await new Promise((resolve, reject) => {
        const fail = (why: string): void => {
          socket.destroy();
          reject(new BackendError(`Cannot reach the udp forwarder of ${this.#options.device}: ${why}`));
        };
        timer = setTimeout(() => fail(`no answer for ${PATIENCE_MS / 1000} s`), PATIENCE_MS);
        onClose.call = () => fail("it ended");
        socket.once("close", onClose.call);
        this.#heard = (message) => {
          if (key in message) resolve((message as never)[key]);
        };
        if (question) socket.write(`${JSON.stringify(question)}\n`);
      });
    } finally {
      clearTimeout(timer);
      if (onClose.call) socket.off("close", onClose.call);
      this.#heard = undefined;
    }
  }
}

/** Which code a forwarder would run: it is replaced when that changes, and with it whatever it keeps in memory. */
function buildOf(folder: string): string {
  const hash = createHash("sha256").update(process.version);
  for (const name of readdirSync(folder).sort())
    if (name.endsWith(".js")) hash.update(readFileSync(`${folder}${name}`));
  return hash.digest("hex").slice(0, 16);
}

function lastLine(text: string): string {
  const lines = text.trim().split("\n");
  return lines.findLast((line) => /Error|Cannot/.test(line)) ?? lines.at(-1) ?? "";
}
