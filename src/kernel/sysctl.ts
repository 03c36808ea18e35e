import { closeSync, openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { inNs, type NetNs } from "./netns.ts";

/** Reads /proc/sys/NAME, e.g. `net/ipv4/ip_forward`, as seen in `ns`; undefined when this kernel has no such setting. */
export function readSysctl(name: string, ns?: NetNs): string | undefined {
  const read = (): string => readFileSync(pathOf(name), "utf8").trim();
  try {
    return ns ? inNs(ns, read) : read();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Writes /proc/sys/NAME as seen in `ns`. A setting that has the value already is left alone: rootless may read only. */
export function writeSysctl(name: string, value: string | number, ns?: NetNs): void {
  if (readSysctl(name, ns) === String(value)) return;
  const write = (): void => writeFileSync(pathOf(name), String(value));
  if (ns) inNs(ns, write);
  else write();
}

/** As writeSysctl(), without looking first: for what has just been made, a new device's settings. */
export function initSysctl(name: string, value: string | number): void {
  writeFileSync(pathOf(name), String(value));
}

/** A setting that is read again and again: as it was seen where this thread was when it was opened. */
export class OpenSysctl implements Disposable {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** @throws ENOENT when this kernel has no such setting */
  static open(name: string): OpenSysctl {
    return new OpenSysctl(openSync(pathOf(name), "r"));
  }

  read(): string {
    return buffer.toString("latin1", 0, readSync(this.#fd, buffer, 0, buffer.length, 0)).trim();
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

const buffer = Buffer.alloc(4096);

/** A device's name may hold dots and not slashes, so names are spelled with slashes and never translated. */
function pathOf(name: string): string {
  if (name.split("/").some((part) => part === "" || part === "." || part === ".."))
    throw new TypeError(`Not a sysctl name: ${JSON.stringify(name)}; want one like net/ipv4/ip_forward`);
  return `/proc/sys/${name}`;
}
