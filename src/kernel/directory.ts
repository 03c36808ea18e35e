import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { isNotFound } from "./errors.ts";

/**
 * `mkdir -p`, one mkdir() a step. Node's own, `recursive: true`, calls mkdir() for ever where a folder is there but
 * takes none ("no such file or directory", as /proc says), and where a symbolic link leads nowhere.
 * @param mode of the folders that are made; less the umask
 */
export function makeDirectories(path: string, mode = 0o777): void {
  try {
    makeDirectory(path, mode);
  } catch (error) {
    const parent = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || parent === path) throw error;
    makeDirectories(parent, mode);
    makeDirectory(path, mode);
  }
}

/** Runs `f`, which makes a file in the folder `path`; should that be missing, makes it and runs `f` again. */
export function inDirectory<T>(path: string, mode: number, f: () => T): T {
  try {
    return f();
  } catch (error) {
    if (!isNotFound(error)) throw error;
    makeDirectories(path, mode);
    return f();
  }
}

function makeDirectory(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === "EEXIST";
    if (!isThere || !statSync(path).isDirectory()) throw error;
  }
}
