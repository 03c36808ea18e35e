import { closeSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { inDirectory } from "./directory.ts";
import { SyscallError } from "./errors.ts";
import { check, flock } from "./sys.ts";

const [LOCK_EX, LOCK_NB] = [2, 4];
const EWOULDBLOCK = 11;

export interface LockOptions {
  /** How long whoever holds it is waited for, without blocking this thread; default ten seconds. */
  readonly timeoutMs?: number;
  /** Who else locks this file, for the error: `another store server`. */
  readonly holder?: string;
  /** Of the file's folder, which is then made when it is missing. */
  readonly folderMode?: number;
}

/**
 * Locks the file `path` against everybody else who does (flock(2), exclusive), making it when it is missing. Ends with
 * the process at the latest. @throws {SyscallError} EAGAIN when somebody still holds it
 */
export async function lockFile(path: string, options: LockOptions = {}): Promise<Disposable> {
  const { timeoutMs = 10_000, holder = "another process", folderMode } = options;
  const open = (): number => openSync(path, "a+", 0o600);
  const fd = folderMode === undefined ? open() : inDirectory(dirname(path), folderMode, open);
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(50, pauseMs * 2)) {
    const result = flock(fd, LOCK_EX | LOCK_NB);
    if (result >= 0) return { [Symbol.dispose]: () => closeSync(fd) };
    if (result !== -EWOULDBLOCK || performance.now() >= deadline) {
      closeSync(fd);
      if (result !== -EWOULDBLOCK) check(result, "lock", path);
      const reason = `${holder} holds it; fuser ${path} tells its process id: let it finish, or stop it`;
      throw new SyscallError("lock", EWOULDBLOCK, "EAGAIN", reason, path);
    }
    await delay(pauseMs);
  }
}
