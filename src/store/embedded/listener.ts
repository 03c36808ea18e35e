import { once } from "node:events";
import { rm, stat } from "node:fs/promises";
import { connect, createServer, type Server as NetServer } from "node:net";
import { dirname } from "node:path";
import type { ConnectionInjector } from "@grpc/grpc-js";
import { withValidAuthority } from "./authority.ts";

/** One address that clients connect to. */
export interface Listener {
  /** The endpoint to give to clients. */
  readonly endpoint: string;
  close(): Promise<void>;
}

/** @throws when `address` cannot be read or listened on */
export async function listen(address: string, injector: ConnectionInjector): Promise<Listener> {
  const path = /^unix:(?:\/\/)?(\/.*)$/.exec(address)?.[1];
  const [, host, port] = /^(\[[0-9a-fA-F:.]+\]|[^:/[\]\s]+):(\d{1,5})$/.exec(address) ?? [];
  if (path === undefined && (host === undefined || Number(port) > 65_535))
    throw new Error(`${JSON.stringify(address)} is no address to listen on; write HOST:PORT or unix:/PATH`);
  if (path !== undefined) await makeWay(path);
  const server = createServer({ noDelay: true, keepAlive: true }, (socket) =>
    injector.injectConnection(withValidAuthority(socket)),
  );
  // bind() is in listen() itself, so that the file never exists with wider permissions.
  const umask = path === undefined ? undefined : process.umask(0o177);
  try {
    server.listen(path === undefined ? { host: host?.replace(/^\[|\]$/g, ""), port: Number(port) } : { path });
  } finally {
    if (umask !== undefined) process.umask(umask);
  }
  try {
    await once(server, "listening");
  } catch (error) {
    throw new Error(`cannot listen on ${address}: ${error instanceof Error ? error.message : String(error)}`);
  }
  // accept() failed, for want of descriptors: that client is turned away, and nobody else.
  server.on("error", () => {});
  const bound = server.address();
  return {
    endpoint:
      path === undefined ? `http://${host}:${typeof bound === "object" ? bound?.port : port}` : `unix://${path}`,
    close: () => closeServer(server),
  };
}

/** Removes the socket that a dead server left; nothing else. */
async function makeWay(path: string): Promise<void> {
  const directory = dirname(path);
  if (!(await stat(directory).catch(() => undefined))?.isDirectory())
    throw new Error(`cannot listen on ${path}: there is no directory ${directory}; make it, or choose another path`);
  if (await isListening(path)) throw new Error(`another process listens on ${path} already`);
  const left = await stat(path).catch(() => undefined);
  if (left && !left.isSocket()) throw new Error(`${path} is there already and is no socket; choose another path`);
  await rm(path, { force: true });
}

/** Whether a process listens on the Unix socket `path`; false also for a socket that a dead one left. */
function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Its connections are ended by the gRPC server that they were given to. */
async function closeServer(server: NetServer): Promise<void> {
  await new Promise((resolve) => server.close(resolve));
}
