import { readFileSync } from "node:fs";

/**
 * The FFI library's native file as it is mapped into this process: the one for this machine and its C library. For
 * whoever must put it beside a one-file program.
 */
export function ffiLibraryFile(): string {
  const maps = readFileSync("/proc/self/maps", "utf8");
  const path = /(\/.*\/koffi\.node)$/m.exec(maps)?.[1];
  if (!path) throw new Error("Cannot find koffi.node among the files mapped into this process");
  return path;
}
