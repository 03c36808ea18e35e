// The programs of the machine that the lab runs, and what they get to see of this process's environment.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** program -> Debian's package */
const PACKAGES: Readonly<Record<string, string>> = {
  flock: "util-linux",
  unshare: "util-linux",
  nsenter: "util-linux",
  mount: "mount",
  hostname: "hostname",
  etcd: "etcd-server",
  nft: "nftables",
};

/** The caller's PATH first, then where a shell of root would look. */
export function searchPath(): string {
  return [process.env.PATH, PATH].filter((path) => path).join(delimiter);
}

/** What is not installed, as an error's reason and advice; undefined when all are. */
export function missingPrograms(names: readonly string[]): { reason: string; advice: string } | undefined {
  const missing = names.filter(
    (name) =>
      !searchPath()
        .split(delimiter)
        .some((folder) => isExecutable(join(folder, name))),
  );
  if (missing.length === 0) return undefined;
  const packages = [...new Set(missing.map((name) => PACKAGES[name] ?? name))];
  return { reason: `${missing.join(" and ")} not found`, advice: `apt-get install ${packages.join(" ")}` };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A small, known environment: what a user exports (NODE_OPTIONS, NODE_EXTRA_CA_CERTS, LD_PRELOAD) does not leak in. */
export function childEnvironment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  const { HOME = "/root", LANG = "C.UTF-8", TERM = "dumb" } = process.env;
  return { PATH: searchPath(), HOME, LANG, TERM, ...more };
}

/** How to start podpath's own programs: each the beginning of a command line. */
export interface LabPrograms {
  /** The executable `podpath`. */
  readonly podpath: readonly string[];
  /** What containers run: the echo server and the probes. */
  readonly container: readonly string[];
  /** The folder that holds them. */
  readonly folder: string;
}
