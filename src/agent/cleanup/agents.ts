import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";

/**
 * The daemons of this network namespace, ours and Flannel's, by their command lines: what they keep would come back as
 * fast as it went.
 */
export function runningDaemons(): number[] {
  const own = readlinkSync("/proc/self/ns/net");
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid && isDaemon(pid, own));
}

function isDaemon(pid: number, netns: string): boolean {
  try {
    const argv = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return isDaemonArgv(argv) && readlinkSync(`/proc/${pid}/ns/net`) === netns;
  } catch {
    return false; // it has ended meanwhile, or is not ours to look at
  }
}

/** `flanneld …`, `podpath agent …`, and either run by node. */
export function isDaemonArgv(argv: readonly string[]): boolean {
  const names = argv.map((arg) => basename(arg));
  const program =
    names[0] === "node" || names[0] === "nodejs" ? names.findIndex((name, i) => i > 0 && !name.startsWith("-")) : 0;
  const name = names[program] ?? "";
  if (name === "flanneld") return true;
  return /^podpath(\.js)?$/.test(name) && argv[program + 1] === "agent";
}
