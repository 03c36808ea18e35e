// Processes in namespaces of their own: the command lines of util-linux's `unshare` and `nsenter`, and what /proc says
// of a process. The programs are used instead of the system calls because a process of many threads, which Node is,
// may not enter a PID, mount or user namespace, and because exec'ing a small program is cheaper than starting Node.
import { readdirSync, readFileSync } from "node:fs";
import { hasCapability } from "./capability.ts";

export type NamespaceKind = "mount" | "net" | "uts" | "ipc" | "pid" | "user";

/** The command that runs `argv` in new namespaces. With `pid`, argv becomes process 1 and dies when the command does. */
export function unshareArgv(kinds: readonly NamespaceKind[], argv: readonly string[]): string[] {
  const flags = kinds.flatMap((kind) => {
    if (kind === "pid")
      return ["--pid", "--fork", "--kill-child", ...(kinds.includes("mount") ? ["--mount-proc"] : [])];
    if (kind === "user") return ["--user", "--map-root-user"];
    return [`--${kind}`];
  });
  return ["unshare", ...flags, "--", ...argv];
}

/** The command that runs `argv` in the namespaces of process `target`. Only with `pid` does it fork. */
export function enterArgv(target: number, kinds: readonly NamespaceKind[], argv: readonly string[]): string[] {
  const flags = kinds.map((kind) => `--${kind}`);
  // In a user namespace we are root of it already; setgroups() would be refused.
  if (kinds.includes("user")) flags.push("--preserve-credentials");
  return ["nsenter", "--target", String(target), ...flags, "--", ...argv];
}

/** A process that cannot be mistaken for a later one of the same number. */
export interface ProcessId {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat, in clock ticks since boot. */
  readonly startTime: string;
}

/** @returns undefined when there is no such process, or it has ended and only waits to be reaped */
export function processId(pid: number): ProcessId | undefined {
  const fields = statFields(pid);
  const [state, startTime] = [fields?.[0], fields?.[19]];
  return startTime === undefined || state === "Z" || state === "X" ? undefined : { pid, startTime };
}

export function isRunning(id: ProcessId): boolean {
  return processId(id.pid)?.startTime === id.startTime;
}

/** The fields of /proc/PID/stat after the program's name, which itself may hold spaces and parentheses. */
function statFields(pid: number | string): string[] | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

/** Whether this process may make namespaces without a user namespace: CAP_SYS_ADMIN, which root in a container may lack. */
export function isPrivileged(): boolean {
  return hasCapability("CAP_SYS_ADMIN");
}

/** The children of a process, oldest first. */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return text === "" ? [] : text.split(" ").map(Number);
  } catch {
    // Kernels without CONFIG_PROC_CHILDREN.
    return readdirSync("/proc")
      .map(Number)
      .filter((candidate) => candidate > 0 && statFields(candidate)?.[1] === String(pid));
  }
}

/** What /proc calls the program, cut to 15 bytes. */
export function programName(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trimEnd();
  } catch {
    return undefined;
  }
}

/** One word of a POSIX shell command that means exactly `text`. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
