import { lstatSync, rmSync } from "node:fs";
import { connect, type Server } from "node:net";
import { dirname } from "node:path";
import { isNotFound, makeDirectories } from "../kernel/index.ts";

/**
 * Listens on a Unix socket that only its owner can connect to (0600, and 0700 for a folder made for it). A dead
 * agent's socket is taken over. @param flag what names another path @throws when another process serves it, or
 * something else is there
 */
export async function listenForRoot(server: Server, path: string, flag: string): Promise<void> {
  makeDirectories(dirname(path), 0o700);
  if (await isServed(path))
    throw new Error(`Cannot listen on ${path}: another agent does; stop it, or give ${flag} another path`);
  const left = lstatSync(path, { throwIfNoEntry: false });
  // Nothing but a socket is taken away: a mistyped path may name anything.
  if (left && !left.isSocket())
    throw new Error(
      `Cannot listen on ${path}: it is there already and is no socket; remove it, or give ${flag} another path`,
    );
  rmSync(path, { force: true });
  await listen(server, path);
}

/** Whether somebody listens there. */
export function isServed(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", (e: NodeJS.ErrnoException) => {
      if (isNotFound(e) || e.code === "ECONNREFUSED") resolve(false);
      else reject(new Error(`Cannot listen on ${path}: ${e.message}`, { cause: e }));
    });
  });
}

/** bind() is in listen() itself, so that the file never exists with wider permissions. */
function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (e) => reject(new Error(`Cannot listen on ${path}: ${e.message}`, { cause: e })));
    const umask = process.umask(0o177);
    try {
      server.listen(path, resolve);
    } finally {
      process.umask(umask);
    }
  });
}
