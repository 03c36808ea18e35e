// Waiting for what other processes bring about: told by the kernel, never by polling.
import { existsSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import { LabError } from "./errors.ts";

export interface Wait {
  /** For the error: `see the routes of all peers on node1`. */
  readonly what: string;
  readonly deadlineMs: number;
  readonly isThere: () => boolean;
  /** Calls `onChange` when it may be worth looking again. */
  readonly subscribe: (onChange: () => void) => Disposable;
  /** Ends the wait early, with its reason. */
  readonly signal?: AbortSignal;
}

/** @throws {LabError} at the deadline */
export function until({ what, deadlineMs, isThere, subscribe, signal }: Wait): Promise<void> {
  return new Promise((resolve, reject) => {
    let subscription: Disposable | undefined;
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      subscription?.[Symbol.dispose]();
      settle();
    };
    const look = (): void => {
      try {
        if (isThere()) finish(resolve);
      } catch (error) {
        finish(() => reject(error));
      }
    };
    const onAbort = (): void => finish(() => reject(signal?.reason));
    const timer = setTimeout(
      () => finish(() => reject(new LabError(what, { reason: `it did not happen in ${deadlineMs / 1000} s` }))),
      deadlineMs,
    );
    if (signal?.aborted) return onAbort();
    signal?.addEventListener("abort", onAbort);
    // Subscribed first, so that nothing falls between the look and the watch.
    subscription = subscribe(look);
    look();
  });
}

/** Until `path`, in a folder that is there, is there. */
export function untilPath(path: string, deadlineMs: number, signal?: AbortSignal): Promise<void> {
  return until({
    what: `find ${path}`,
    deadlineMs,
    ...(signal ? { signal } : {}),
    isThere: () => existsSync(path),
    subscribe: (onChange) => {
      const watcher = watch(dirname(path), (_event, name) => {
        if (name === null || name === basename(path)) onChange();
      });
      return { [Symbol.dispose]: () => watcher.close() };
    },
  });
}
