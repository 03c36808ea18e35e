// `<dataDir>/<containerID>` remembers what the delegate was given, because at DEL the subnet may be another one.
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CNI_ERROR, CniError, type JsonObject, parseJsonObject } from "../../formats/cni/index.ts";
import { inDirectory, isNotFound } from "../../kernel/index.ts";

export const DEFAULT_DATA_DIR = "/var/lib/cni/flannel";

/** Appears whole or not at all: a half-written one would make DEL a no-op, and leak the address. */
export function writeScratch(dataDir: string, containerId: string, text: string): void {
  const path = join(dataDir, containerId);
  const temporary = temporaryOf(dataDir, containerId);
  try {
    // No fsync: what a power failure loses is the pod's too, and DEL without this file finds the address all the same.
    inDirectory(dataDir, 0o700, () => writeFileSync(temporary, text, { mode: 0o600 }));
    renameSync(temporary, path);
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw new CniError(CNI_ERROR.io, `Cannot save the delegate's configuration: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** Undefined when there is none; so is one that an older plugin left empty or broken. */
export function readScratch(dataDir: string, containerId: string, log: (line: string) => void): JsonObject | undefined {
  const path = join(dataDir, containerId);
  if (!existsSync(path)) return undefined; // the usual case of ADD, and an exception would cost more
  try {
    return parseJsonObject(readFileSync(path, "utf8"), path);
  } catch (e) {
    if (!isNotFound(e)) log(e instanceof Error ? e.message : String(e));
    return undefined;
  }
}

/** With what a crash may have left beside it. */
export function removeScratch(dataDir: string, containerId: string): void {
  rmSync(join(dataDir, containerId), { force: true });
  rmSync(temporaryOf(dataDir, containerId), { force: true });
}

/** The containers that have one, or the beginnings of one. */
export function listScratch(dataDir: string): string[] {
  try {
    return [...new Set(readdirSync(dataDir).map((name) => /^\.(.+)\.new$/.exec(name)?.[1] ?? name))];
  } catch (e) {
    if (isNotFound(e)) return [];
    throw e;
  }
}

/** No container's ID starts with a dot (CNI specification, parameters). */
function temporaryOf(dataDir: string, containerId: string): string {
  return join(dataDir, `.${containerId}.new`);
}
