import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { whyNoEtcd } from "../../store/testing/real-etcd.ts";
import { type ClusterStore, patiently, type TestCluster, type TestNode } from "./cluster.ts";

const PODPATH = fileURLToPath(new URL("../../cmd/podpath.js", import.meta.url));
/** The node number of the store: 192.168.100.2. */
const STORE = -8;
const nodes = new WeakMap<TestCluster, TestNode>();

function storeNode(cluster: TestCluster): TestNode {
  const node = nodes.get(cluster) ?? cluster.addNode(STORE);
  nodes.set(cluster, node);
  return node;
}

export interface ServedStore {
  readonly name: string;
  /** Why it cannot be had. */
  readonly skip: string | false;
  readonly serve: (cluster: TestCluster) => Promise<ClusterStore>;
}

/** Stores as processes of their own at an address of the fabric, which is how nodes of a real cluster reach theirs. */
export const CLUSTER_STORES: { readonly etcd: ServedStore; readonly embedded: ServedStore } = {
  etcd: { name: "etcd", skip: whyNoEtcd(), serve: serveEtcd },
  embedded: { name: "the embedded store", skip: false, serve: serveEmbedded },
};

async function serveEtcd(cluster: TestCluster): Promise<ClusterStore> {
  const node = storeNode(cluster);
  const [endpoint, peer] = [`http://${node.address}:2379`, `http://${node.address}:2380`];
  const flags = [
    ["--data-dir", "store"],
    // etcd names its socket HOST:PORT, in the folder it is started in.
    ["--listen-client-urls", `${endpoint},unix://store:0`],
    ["--advertise-client-urls", endpoint],
    ["--listen-peer-urls", peer],
    ["--initial-advertise-peer-urls", peer],
    ["--initial-cluster", `default=${peer}`],
    ["--logger", "zap"],
  ].flat();
  const child = cluster.spawn(node, "etcd", flags, { cwd: cluster.dir });
  await said(child, /serving client (traffic|requests)/);
  return { endpoint, ownEndpoint: `unix://${join(cluster.dir, "store:0")}`, close: () => end(child) };
}

async function serveEmbedded(cluster: TestCluster): Promise<ClusterStore> {
  const node = storeNode(cluster);
  const socket = join(cluster.dir, "store.sock");
  const args = ["store", "--data-dir", join(cluster.dir, "store"), "--listen", `${node.address}:2379`];
  const child = cluster.spawn(node, process.execPath, [PODPATH, ...args, `unix:${socket}`]);
  await said(child, /192\.168/);
  return { endpoint: `http://${node.address}:2379`, ownEndpoint: `unix://${socket}`, close: () => end(child) };
}

function said(child: ChildProcess, pattern: RegExp): Promise<void> {
  let output = "";
  return patiently(`${child.spawnargs.join(" ")} to say ${pattern}`, async (resolve) => {
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding("utf8").on("data", (part: string) => {
        output += part;
        if (pattern.test(output)) resolve(undefined);
      });
    await once(child, "exit");
    throw new Error(`the store ended before it served: ${output}`);
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}
