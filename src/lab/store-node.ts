// The store of the lab: the embedded one or Debian's etcd, in the node `store`, reachable there by TCP and from the
// machine by a Unix socket in the state folder.
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { makeDirectories } from "../kernel/index.ts";
import { isUnavailable, openEtcdStore, type Store } from "../store/index.ts";
import { Daemon } from "./daemon.ts";
import type { LabNode } from "./node.ts";
import type { LabPrograms } from "./programs.ts";
import type { StateDir } from "./state-dir.ts";
import { STORE_ADDRESS, STORE_PORT } from "./topology.ts";
import { untilPath } from "./wait.ts";

export type StoreKind = "embedded" | "etcd";

/** For the nodes. */
export const STORE_ENDPOINT: string = `http://${STORE_ADDRESS}:${STORE_PORT}`;

/** etcd wants HOST:PORT even of a Unix socket, and takes that, relative to its working folder, as the file's name. */
const ETCD_SOCKET = "store.sock:0";

export function startStore(
  kind: StoreKind,
  node: LabNode,
  { dir, programs, env }: { dir: StateDir; programs: LabPrograms; env: Readonly<Record<string, string>> },
  onExit: (how: string) => void,
): Daemon {
  const dataDir = join(dir.data, kind);
  makeDirectories(dataDir, 0o700);
  return new Daemon({
    name: "store",
    nodePid: node.anchor.pid,
    cwd: dir.path,
    env,
    argv: kind === "etcd" ? etcdArgv(dataDir) : embeddedArgv(dataDir, dir, programs),
    logFile: join(dir.logs, "store.log"),
    onExit,
  });
}

function embeddedArgv(dataDir: string, dir: StateDir, { podpath }: LabPrograms): string[] {
  const listen = [`${STORE_ADDRESS}:${STORE_PORT}`, `unix:${dir.storeSocket}`];
  return [...podpath, "store", "--data-dir", dataDir, ...listen.flatMap((address) => ["--listen", address])];
}

function etcdArgv(dataDir: string): string[] {
  const peer = "http://127.0.0.1:2380";
  return [
    "etcd",
    ...["--name", "lab", "--data-dir", dataDir],
    ...["--listen-client-urls", `${STORE_ENDPOINT},unix://${ETCD_SOCKET}`, "--advertise-client-urls", STORE_ENDPOINT],
    ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", `lab=${peer}`],
  ];
}

/** A client that has had its first answer. */
export async function openStore(kind: StoreKind, dir: StateDir, signal: AbortSignal): Promise<Store> {
  if (kind === "etcd") {
    await untilPath(join(dir.path, ETCD_SOCKET), 20_000, signal);
    symlinkSync(ETCD_SOCKET, dir.storeSocket);
  } else await untilPath(dir.storeSocket, 20_000, signal);
  const store = await openEtcdStore({ endpoints: [`unix://${dir.storeSocket}`] });
  for (let attempt = 1; ; attempt++) {
    try {
      await store.get("/");
      return store;
    } catch (error) {
      signal.throwIfAborted();
      // etcd opens its socket before it has elected itself.
      if (!isUnavailable(error) || attempt === 5) throw error;
    }
  }
}
