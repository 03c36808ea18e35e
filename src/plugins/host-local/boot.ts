// No container survives a reboot, but address files do, and a runtime that lost its own state never sends a DEL for them.
import { readdirSync, readFileSync, renameSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clockNs, isNotFound } from "../../kernel/index.ts";

export interface Boot {
  readonly id: string;
  /** When the machine started, by the clock that files' times are of. */
  readonly startedMs: number;
}

/** In a network's folder: the boot in which it was last opened. The reference plugin passes it over. */
const MARKER = ".podpath-boot";

let current: Boot | undefined;

export function currentBoot(): Boot {
  current ??= {
    id: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
    startedMs: Number((clockNs("realtime") - clockNs("boot")) / 1_000_000n),
  };
  return current;
}

/**
 * Removes what an earlier boot has left of a network's addresses, when this is the first time it is opened since. Two
 * witnesses are asked, because an address given away twice is worse than one lost: the boot's id, and the file's time.
 * The caller holds the network's lock. Returns the addresses.
 */
export function removeOfEarlierBoots(folder: string, boot: Boot): string[] {
  const marker = join(folder, MARKER);
  const last = readIfThere(marker);
  if (last === boot.id) return [];
  const stale = last === undefined ? [] : addressFiles(folder).filter((name) => isOlder(join(folder, name), boot));
  for (const name of stale) unlinkSync(join(folder, name));
  writeFileSync(`${marker}.new`, boot.id, { mode: 0o600 });
  renameSync(`${marker}.new`, marker);
  return stale;
}

export function addressFiles(folder: string): string[] {
  return readdirSync(folder).filter((name) => /^[0-9a-f][0-9a-f.:]+$/.test(name));
}

function isOlder(path: string, { startedMs }: Boot): boolean {
  return statSync(path).mtimeMs < startedMs;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (e) {
    if (isNotFound(e)) return undefined;
    throw e;
  }
}
