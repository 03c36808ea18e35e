import { once } from "node:events";
import { type FileHandle, open, rm } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";

/**
 * Holds a directory against a second server. The lock is a listening socket in it: the kernel lets go of it whenever the
 * process ends, and it is seen from every network and PID namespace, as a file with a process id in it is not.
 */
export class DirectoryLock {
  readonly #server: Server;
  readonly #directory: FileHandle;

  private constructor(server: Server, directory: FileHandle) {
    this.#server = server;
    this.#directory = directory;
  }

  /** @throws when another server holds it */
  static async acquire(path: string): Promise<DirectoryLock> {
    const directory = await open(path, "r");
    try {
      // By the descriptor: a socket's path may have 107 bytes, a directory's more.
      const socketPath = `/proc/self/fd/${directory.fd}/lock`;
      if (await isListening(socketPath)) throw new Error(`${path} is in use by another store server; stop that one`);
      await rm(socketPath, { force: true });
      const server = createServer((socket) => socket.destroy());
      server.listen(socketPath);
      await once(server, "listening");
      server.unref();
      return new DirectoryLock(server, directory);
    } catch (error) {
      await directory.close();
      throw error;
    }
  }

  async release(): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
    await this.#directory.close();
  }
}

/** Whether a process listens on the Unix socket `path`; false also for a socket that a dead one left. */
export function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
