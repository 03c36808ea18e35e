// CNI calls for the agent's node. All kernel work is synchronous and so one call's at a time; what is waited for (a
// lock, somebody else's IPAM plugin, a device's end) another call may use. Calls for one container keep their order.
import { createServer, type Socket } from "node:net";
import type { BaseLogger } from "pino";
import { CNI_ERROR, CniError, formatError, toCniError } from "../formats/cni/index.ts";
import {
  freeAddressesOfEarlierBoots,
  Host,
  type PluginReply,
  type PluginRequest,
  RuleKeeper,
  runPlugin,
} from "../plugins/index.ts";
import { formatCniReply, parseCniRequest } from "./cni-request.ts";
import type { Observer } from "./observer.ts";
import { listenForRoot } from "./unix-socket.ts";

export interface CniServerOptions {
  /** Unix socket of the CNI server; only its owner can connect (0600, and 0700 for a folder made for it). */
  readonly socketPath: string;
  readonly log?: Pick<BaseLogger, "debug" | "info" | "warn" | "error">;
  /** Called after each call. */
  readonly onCall?: ((call: Parameters<Observer["cniCalled"]>[0]) => void) | undefined;
  /** What a request may take in bytes and, until it is whole, in time. */
  readonly maxRequestBytes?: number;
  readonly requestTimeoutMs?: number;
}

// A configuration is some hundred bytes; prevResult and valid-attachments of a full node some hundred kilobytes.
const MAX_REQUEST_BYTES = 8 * 1024 * 1024;
const REQUEST_TIMEOUT_MS = 30_000;
const MAX_CONNECTIONS = 1024;
/** DEL's first millisecond shows the device gone; on a busy machine it may be many, which no runtime needs to wait for. */
const REMOVAL_PATIENCE_MS = 10;

/**
 * Serves the tiny client until disposed; then the calls under way are finished first. A dead agent's socket is taken
 * over. @throws when another process serves it, or something else is there
 */
export async function startCniServer(options: CniServerOptions): Promise<AsyncDisposable> {
  const { socketPath } = options;
  const host = new Host({
    patienceMs: REMOVAL_PATIENCE_MS,
    onSweepFailed: (error) =>
      options.log?.warn({ err: error }, "cannot take away the devices of removed pods; trying again"),
  });
  const calls = new Calls(options, host);
  const server = createServer({ allowHalfOpen: true }, (socket) => calls.take(socket));
  server.maxConnections = MAX_CONNECTIONS;
  await listenForRoot(server, socketPath, "--cni-socket");
  host.removal.sweep(); // what an agent that was killed has put aside
  const keeper = new RuleKeeper(host, { log: (level, line) => options.log?.[level](line) });
  void keeper.pass();
  await freeAddressesOfEarlierBoots().catch((error) => {
    options.log?.warn({ err: error }, "cannot free the addresses of containers from before the reboot");
  });
  // accept() failed, for want of descriptors: no reason for the whole agent to end.
  server.on("error", (error) => options.log?.error({ err: error, socketPath }, "cannot take a CNI call"));
  options.log?.info({ socketPath }, "serving CNI calls");
  return {
    async [Symbol.asyncDispose]() {
      server.close(); // which removes the socket too
      await calls.finished();
      keeper[Symbol.dispose]();
      host[Symbol.dispose]();
    },
  };
}

class Calls {
  readonly #options: CniServerOptions;
  readonly #host: Host;
  /** The last call of each container. */
  readonly #last = new Map<string, Promise<unknown>>();
  readonly #running = new Set<Promise<void>>();

  constructor(options: CniServerOptions, host: Host) {
    this.#options = options;
    this.#host = host;
  }

  take(socket: Socket): void {
    socket.on("error", () => {}); // a client that went away; deliver() sees it where it matters
    const call = this.#serve(socket).finally(() => this.#running.delete(call));
    this.#running.add(call);
  }

  async finished(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  async #serve(socket: Socket): Promise<void> {
    const start = performance.now();
    try {
      const request = parseCniRequest(await this.#receive(socket));
      await this.#inOrder(request, () => this.#answer(socket, request, start));
    } catch (e) {
      const error = toCniError(e);
      this.#options.log?.warn({ code: error.code }, error.message);
      await deliver(socket, { exitCode: 1, stdout: formatError(error), stderr: "" });
    } finally {
      socket.destroy();
    }
  }

  async #answer(socket: Socket, request: PluginRequest, start: number): Promise<void> {
    const reply = await runPlugin(request, this.#host);
    this.#tell(request, reply, performance.now() - start);
    if ((await deliver(socket, reply)) || reply.exitCode !== 0 || request.env.CNI_COMMAND !== "ADD") return;
    // Nobody knows of this attachment: it would stay until somebody DELs a container he believes was never added. And it
    // goes before the container's next call, which may be the ADD of a runtime that tries again.
    this.#options.log?.warn(fieldsOf(request), "the client went away before the result of its ADD: undoing it");
    const undone = await runPlugin({ ...request, env: { ...request.env, CNI_COMMAND: "DEL" } }, this.#host);
    if (undone.exitCode !== 0) this.#options.log?.error(fieldsOf(request), undone.stdout);
  }

  #receive(socket: Socket): Promise<Buffer> {
    const { maxRequestBytes = MAX_REQUEST_BYTES, requestTimeoutMs = REQUEST_TIMEOUT_MS } = this.#options;
    return new Promise((resolve, reject) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      const fail = (why: string): void => {
        clearTimeout(timer);
        reject(new CniError(CNI_ERROR.io, `Cannot read the CNI client's request: ${why}`));
      };
      const timer = setTimeout(() => fail(`not whole after ${requestTimeoutMs} ms`), requestTimeoutMs);
      socket.on("data", (part: Buffer) => {
        bytes += part.length;
        if (bytes <= maxRequestBytes) parts.push(part);
        else fail(`more than ${maxRequestBytes} bytes`);
      });
      socket.on("error", (e) => fail(e.message));
      socket.on("end", () => {
        clearTimeout(timer);
        resolve(Buffer.concat(parts));
      });
    });
  }

  /** After the container's earlier calls. @param run must not reject */
  async #inOrder(request: PluginRequest, run: () => Promise<void>): Promise<void> {
    const container = request.env.CNI_CONTAINERID ?? "";
    const before = this.#last.get(container);
    const done = before === undefined ? run() : before.then(run);
    this.#last.set(container, done);
    try {
      await done;
    } finally {
      if (this.#last.get(container) === done) this.#last.delete(container);
    }
  }

  #tell(request: PluginRequest, reply: PluginReply, ms: number): void {
    const fields = { ...fieldsOf(request), ms: Number(ms.toFixed(2)) };
    const { log, onCall } = this.#options;
    onCall?.({ command: request.env.CNI_COMMAND ?? "", succeeded: reply.exitCode === 0, seconds: ms / 1000 });
    if (reply.exitCode === 0) log?.debug(fields, "CNI call");
    else log?.warn(fields, `CNI call failed: ${reply.stdout}`);
    for (const line of reply.stderr.split("\n")) if (line !== "") log?.info(fields, line);
  }
}

function fieldsOf({ name, env }: PluginRequest): Record<string, unknown> {
  return { plugin: name, command: env.CNI_COMMAND, containerId: env.CNI_CONTAINERID, ifName: env.CNI_IFNAME };
}

/** Whether the client was still there. */
function deliver(socket: Socket, reply: PluginReply): Promise<boolean> {
  return new Promise((resolve) => {
    socket.on("error", () => resolve(false)).on("close", () => resolve(false));
    if (socket.destroyed) resolve(false);
    else socket.end(formatCniReply(reply)).on("finish", () => resolve(true));
  });
}
