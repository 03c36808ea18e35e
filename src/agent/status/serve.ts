import { createServer } from "node:net";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { listenForRoot } from "../unix-socket.ts";
import type { NodeStatus } from "./status.ts";

/**
 * Tells whoever connects the node's status, as one JSON document, until disposed. Only root can connect. Does not
 * throw: a node works without.
 */
export async function serveStatus(path: string, status: () => Promise<NodeStatus>, log: Log): Promise<AsyncDisposable> {
  const server = createServer((socket) => {
    socket.on("error", () => {}); // whoever asked has gone
    status().then(
      (now) => socket.end(JSON.stringify(now)),
      (error: unknown) => {
        log.error({ err: error }, `cannot tell the status: ${messageOf(error)}`);
        socket.destroy();
      },
    );
  });
  try {
    await listenForRoot(server, path, "--subnet-file");
    server.on("error", (error) => log.error({ err: error, path }, "cannot take a connection to the status socket"));
  } catch (error) {
    log.warn({ err: error }, `podpath status cannot ask this agent: ${messageOf(error)}`);
  }
  return {
    async [Symbol.asyncDispose]() {
      server.close();
    },
  };
}
