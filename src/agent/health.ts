// What kubelet, systemd and Prometheus ask over HTTP. Each answer is true when it is given, not when it once became so.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { AgentError } from "./errors.ts";
import type { Log } from "./log.ts";

export interface HealthOptions {
  readonly ip: string;
  readonly port: number;
  /** Why the daemon should be started again, if it should. */
  readonly whyDead: () => string | undefined;
  /** Why pods cannot rely on this node, if they cannot. */
  readonly whyNotReady: () => string | undefined;
  /** The metrics in Prometheus' text format. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  readonly log: Log;
}

export interface HealthServer extends AsyncDisposable {
  readonly port: number;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly contentType?: string;
}

/** Serves until disposed. @throws {AgentError} */
export async function serveHealth(options: HealthOptions): Promise<HealthServer> {
  const { ip, port, log } = options;
  const server = createServer((request, response) => void respond(options, request, response));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      const message = `Cannot serve --healthz-port ${port} on ${ip}: ${cause.message}`;
      reject(new AgentError(message, { cause }));
    });
    server.listen(port, ip, resolve);
  });
  // accept() failed, for want of descriptors: no reason for the whole agent to end.
  server.on("error", (error) => log.error({ err: error }, "cannot take a connection to --healthz-port"));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function respond(options: HealthOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.on("error", () => {}); // whoever asked has gone
  let answer: Answer;
  try {
    answer = await answerTo(options, request);
  } catch (error) {
    options.log.error({ err: error }, `cannot answer ${request.url}`);
    answer = { status: 500, text: error instanceof Error ? error.message : String(error) };
  }
  const { status, text, contentType = "text/plain; charset=utf-8" } = answer;
  // Node leaves the body out for HEAD.
  response.writeHead(status, { "content-type": contentType, "x-content-type-options": "nosniff" }).end(text);
}

async function answerTo(options: HealthOptions, { method, url = "" }: IncomingMessage): Promise<Answer> {
  const path = url.split("?")[0];
  if (path !== "/healthz" && path !== "/readyz" && path !== "/metrics") return { status: 404, text: "not found\n" };
  if (method !== "GET" && method !== "HEAD") return { status: 405, text: "only GET\n" };
  if (path === "/metrics") return { status: 200, ...(await options.metrics()) };
  const dead = options.whyDead();
  if (path === "/healthz")
    return dead === undefined
      ? { status: 200, text: "flanneld is running" }
      : { status: 503, text: `flanneld is stuck: ${dead}` };
  const why = dead ?? options.whyNotReady();
  return why === undefined
    ? { status: 200, text: "flanneld is ready" }
    : { status: 503, text: `flanneld is not ready: ${why}` };
}
