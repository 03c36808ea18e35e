// A clock for each node's agent and for the store, which a fault can set. Linux has no namespace for CLOCK_REALTIME, so
// Debian's libfaketime stands between the process and the system call; the monotonic clock stays what it is.
import { existsSync, writeFileSync } from "node:fs";

const LIBRARIES = ["x86_64-linux-gnu", "aarch64-linux-gnu"].map(
  (triple) => `/usr/lib/${triple}/faketime/libfaketime.so.1`,
);
/** In each node's own /run. */
const FILE = "/run/podpath-clock";

/** The environment that a process with such a clock wants; undefined without libfaketime. */
export function clockEnvironment(): Readonly<Record<string, string>> | undefined {
  const library = LIBRARIES.find((path) => existsSync(path));
  if (library === undefined) return undefined;
  return {
    LD_PRELOAD: library,
    FAKETIME: "+0",
    FAKETIME_TIMESTAMP_FILE: FILE,
    FAKETIME_CACHE_DURATION: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
}

/** @param nodePid whose /run it is */
export function setClock(nodePid: number, offsetSeconds: number): void {
  writeFileSync(`/proc/${nodePid}/root${FILE}`, `${offsetSeconds < 0 ? "" : "+"}${offsetSeconds}\n`);
}
