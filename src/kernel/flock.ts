import { closeSync, openSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { check, flock } from "./sys.ts";

const [LOCK_EX, LOCK_NB] = [2, 4];
const EWOULDBLOCK = 11;

/**
 * Locks the file `path` against everybody else who does (flock(2), exclusive), making it when it is missing. Whoever
 * holds it is waited for, for `timeoutMs`, without blocking this thread. Ends with the process at the latest.
 */
export async function lockFile(path: string, timeoutMs = 10_000): Promise<Disposable> {
  const fd = openSync(path, "a+", 0o600);
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(50, pauseMs * 2)) {
    const result = flock(fd, LOCK_EX | LOCK_NB);
    if (result >= 0) return { [Symbol.dispose]: () => closeSync(fd) };
    if (result !== -EWOULDBLOCK || performance.now() >= deadline) {
      closeSync(fd);
      check(result, "lock", path);
    }
    await delay(pauseMs);
  }
}
