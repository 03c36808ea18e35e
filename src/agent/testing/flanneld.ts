import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { patiently, type TestCluster, type TestNode } from "./cluster.ts";

/** Flannel's own daemon, as scripts/flanneld.mjs leaves it, or the reason that there is none. */
const FLANNELD = fileURLToPath(new URL("../../../node_modules/.cache/podpath/flanneld", import.meta.url));

/** Why tests of mixed clusters are skipped; false: they are not. */
export function whyNoFlanneld(): string | false {
  if (process.getuid?.() !== 0) return "needs root: it makes network namespaces";
  if (existsSync(FLANNELD)) return false;
  try {
    return `no flanneld: ${readFileSync(`${FLANNELD}.why`, "utf8")}`;
  } catch {
    return "no flanneld: node scripts/flanneld.mjs builds it";
  }
}

export interface FlannelProcess {
  readonly child: ChildProcess;
  /** When it has its lease, its rules and its subnet.env, and watches its peers. */
  readonly ready: Promise<void>;
  readonly exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly log: () => string;
  /** Resolves once the log holds `line`. */
  logged(line: string): Promise<void>;
  kill(signal: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

/** Flannel's daemon in a node; `args` more of its flags. */
export function startFlanneld(cluster: TestCluster, node: TestNode, ...args: string[]): FlannelProcess {
  const flags = ["-etcd-endpoints", cluster.endpoint, "-iface", "eth0", "-subnet-file", node.subnetFile, "-ip-masq"];
  const child = cluster.spawn(node, FLANNELD, [...flags, ...args]);
  let log = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (part: string) => {
      log += part;
    });
  const exit = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  const logged = (line: string): Promise<void> =>
    patiently(`flanneld on ${node.name} to log ${line}`, async (resolve) => {
      const look = (): void => {
        if (log.includes(line)) resolve(undefined);
      };
      look();
      child.stderr?.on("data", look);
      const { code, signal } = await exit;
      throw new Error(`flanneld ended with ${code ?? signal} before it logged ${line}: ${log}`);
    });
  const ready = logged("Running backend.");
  ready.catch(() => {});
  return {
    child,
    ready,
    exit,
    log: () => log,
    logged,
    kill: (signal) => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      return exit;
    },
  };
}
