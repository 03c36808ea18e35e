import assert from "node:assert/strict";
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { parseIp, parsePrefix } from "../../formats/netip/index.ts";
import { deleteLink, IFA_F_NODAD, newAddress, newLink, newRoute, setLink } from "../../formats/netlink/index.ts";
import {
  createUnnamedNetNs,
  inNs,
  isNotFound,
  type NetNs,
  Nft,
  Rtnl,
  watchRtnl,
  writeSysctl,
} from "../../kernel/index.ts";
import { openEtcdStore, type Store, startEmbeddedServer } from "../../store/index.ts";
import type { AgentStatus, ReadyReport } from "../index.ts";

const PODPATH = fileURLToPath(new URL("../../cmd/podpath.js", import.meta.url));
/** Long enough for a busy machine; every wait ends with the event it waits for. */
const PATIENCE_MS = 20_000 * Number(process.env.PODPATH_TEST_PATIENCE || 1);

export const NETWORK_CONFIG = { Network: "10.244.0.0/16", Backend: { Type: "vxlan" } } as const;
export const CONFIG_KEY = "/coreos.com/network/config";

/** The node number whose addresses end in 1. */
const ROUTER = -9;

/** A node: a namespace whose eth0 is on the fabric, and the agent in it. */
export interface TestNode {
  readonly name: string;
  readonly ns: NetNs;
  readonly rtnl: Rtnl;
  readonly address: string;
  readonly subnetFile: string;
  /** `ip -j …` or `bridge -j …` in the node. */
  json(command: string): Record<string, unknown>[];
  /** Any program in the node; must succeed. */
  run(command: string): string;
  /** Resolves when `condition` holds, looking again at each change of links, addresses, routes and neighbours. */
  until(what: string, condition: () => boolean): Promise<void>;
  /** The same for nftables. */
  untilNft(what: string, condition: (nft: Nft) => boolean): Promise<void>;
}

export interface AgentProcess {
  readonly child: ChildProcess;
  readonly ready: Promise<ReadyReport>;
  readonly exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** All it logged. */
  readonly log: () => string;
  /** Resolves once the log holds `line`. */
  logged(line: string): Promise<void>;
  status(): Promise<AgentStatus>;
  kill(signal: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

/** The cluster's store while it serves; `close` keeps its data. */
export interface ClusterStore {
  /** For the agents. */
  readonly endpoint: string;
  /** For the test, which is in none of the cluster's namespaces. */
  readonly ownEndpoint: string;
  close(): Promise<void>;
}

/** The embedded store in this process, on a Unix socket, which is reached from every namespace. */
async function serveHere({ dir }: TestCluster): Promise<ClusterStore> {
  const socket = join(dir, "store.sock");
  const server = await startEmbeddedServer({ dataDir: join(dir, "store"), listen: [`unix:${socket}`] });
  const endpoint = `unix://${socket}`;
  return { endpoint, ownEndpoint: endpoint, close: () => server.close() };
}

/** A fabric, nodes on it, and a store. */
export class TestCluster implements AsyncDisposable {
  readonly dir: string = mkdtempSync(join(tmpdir(), "podpath-cluster-"));
  readonly #fabric: NetNs = createUnnamedNetNs();
  readonly #rtnl: Rtnl = Rtnl.open(this.#fabric);
  readonly #nodes: TestNode[] = [];
  readonly #children: ChildProcess[] = [];
  readonly #serve: (cluster: TestCluster) => Promise<ClusterStore>;
  #endpoint = "";
  #server: ClusterStore | undefined;
  #store: Store | undefined;
  /** For a test that is ended from outside, which runs no `finally`. */
  readonly #onExit = (): void => {
    for (const child of this.#children) child.kill("SIGKILL");
    this.#endForwarders();
    rmSync(this.dir, { recursive: true, force: true });
  };

  private constructor(serve: (cluster: TestCluster) => Promise<ClusterStore>) {
    this.#serve = serve;
  }

  /** @param config what to put under CONFIG_KEY; null: nothing */
  static async start(
    config: unknown = NETWORK_CONFIG,
    serve: (cluster: TestCluster) => Promise<ClusterStore> = serveHere,
  ): Promise<TestCluster> {
    const cluster = new TestCluster(serve);
    process.once("exit", cluster.#onExit);
    process.once("SIGTERM", exitNow);
    try {
      await cluster.startStore();
      cluster.#store = await openEtcdStore({ endpoints: [cluster.#server?.ownEndpoint ?? ""] });
      if (config !== null)
        await cluster.store.put(CONFIG_KEY, typeof config === "string" ? config : JSON.stringify(config));
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  get store(): Store {
    assert.ok(this.#store);
    return this.#store;
  }

  /** Where the agents find the store. */
  get endpoint(): string {
    return this.#endpoint;
  }

  async startStore(): Promise<void> {
    this.#server = await this.#serve(this);
    this.#endpoint = this.#server.endpoint;
  }

  async stopStore(): Promise<void> {
    await this.#server?.close();
    this.#server = undefined;
  }

  /** Node `n` is 192.168.100.(10 + n) and fd00:100::(10 + n), in hexadecimal; 192.168.101 and fd00:101:: beyond a router. */
  addNode(n: number, network: 100 | 101 = 100): TestNode {
    const ns = createUnnamedNetNs();
    const rtnl = Rtnl.open(ns);
    rtnl.execute(setLink({ name: "lo", isUp: true }));
    // A link-local address that is still being asked about asks for no neighbour: a packet that comes early would be lost.
    writeSysctl("net/ipv6/conf/default/accept_dad", 0, ns);
    const oif = this.#plug(ns, rtnl, { name: "eth0", network, host: 10 + n });
    if (n !== ROUTER) rtnl.execute(newRoute({ family: 4, gateway: parseIp(`192.168.${network}.1`), oif }));
    const address = `192.168.${network}.${10 + n}`;
    const run = (command: string): string => {
      const [program = "", ...args] = command.split(" ");
      const { stdout, stderr, status } = inNs(ns, () => spawnSync(program, args, { encoding: "utf8" }));
      assert.equal(status, 0, `${command}: ${stderr}`);
      return stdout;
    };
    const node: TestNode = {
      name: `node${n}`,
      ns,
      rtnl,
      address,
      subnetFile: join(this.dir, `node${n}`, "subnet.env"),
      run,
      json: (command) => JSON.parse(run(command) || "[]"),
      until: (what, condition) => until(ns, `${what} on node${n}`, condition),
      untilNft: (what, condition) => untilNft(ns, `${what} on node${n}`, condition),
    };
    this.#nodes.push(node);
    return node;
  }

  /** Gives the node its eth0 anew, with another index, after `ip link del eth0`; at address 192.168.100.host. */
  replug({ ns, rtnl }: Pick<TestNode, "ns" | "rtnl">, host: number): void {
    const oif = this.#plug(ns, rtnl, { name: "eth0", network: 100, host });
    rtnl.execute(newRoute({ family: 4, gateway: parseIp("192.168.100.1"), oif }));
  }

  /** Joins the two networks for IPv4; without it each is alone. */
  addRouter(): void {
    const { ns, rtnl } = this.addNode(ROUTER);
    this.#plug(ns, rtnl, { name: "eth1", network: 101, host: 10 + ROUTER });
    writeSysctl("net/ipv4/ip_forward", 1, ns);
  }

  /** A link from the namespace to the network's switch. Returns its index. */
  #plug(
    ns: NetNs,
    rtnl: Rtnl,
    { name, network, host }: { readonly name: string; readonly network: number; readonly host: number },
  ): number {
    const bridge = `fabric${network}`;
    if (!this.#rtnl.link(bridge)) this.#rtnl.execute(newLink({ name: bridge, kind: { kind: "bridge" }, isUp: true }));
    const port = `p-${network}-${host}`;
    const peer = { name, netnsFd: ns.fd };
    this.#rtnl.execute(newLink({ name: port, kind: { kind: "veth", peer }, isUp: true }));
    this.#rtnl.execute(setLink({ name: port, master: this.#rtnl.link(bridge)?.index ?? 0 }));
    const index = rtnl.link(name)?.index;
    assert.ok(index);
    rtnl.execute([
      setLink({ index, isUp: true }),
      newAddress({ index, prefix: parsePrefix(`192.168.${network}.${host}/24`) }),
      // No duplicate address detection, which would take a second.
      newAddress({ index, prefix: parsePrefix(`fd00:${network}::${host.toString(16)}/64`), flags: IFA_F_NODAD }),
    ]);
    return index;
  }

  startAgent(node: TestNode, ...args: string[]): AgentProcess {
    const command = [
      ...[PODPATH, "agent", "--etcd-endpoints", this.endpoint, "--node-name", node.name],
      ...["--subnet-file", node.subnetFile, "--ip-masq", ...args],
    ];
    return watchAgent(this.spawn(node, process.execPath, command));
  }

  /** `podpath ARGS` in the node, to its end. */
  async podpath(node: TestNode, ...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const options = { stdio: ["ignore", "pipe", "pipe"] as ["ignore", "pipe", "pipe"] };
    const child = inNs(node.ns, () => spawn(process.execPath, [PODPATH, ...args], options));
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
    return { code, stdout, stderr };
  }

  /** Any other way of starting it, e.g. without privileges. */
  startAgentBy(node: TestNode, program: string, before: readonly string[], ...args: string[]): AgentProcess {
    const command = [...before, process.execPath, PODPATH, "agent", "--etcd-endpoints", this.endpoint, ...args];
    return watchAgent(this.spawn(node, program, command));
  }

  /** A program in the node that ends with the cluster, or with this process however it ends. */
  spawn(node: TestNode, program: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const { NODE_EXTRA_CA_CERTS: _slow, ...env } = process.env;
    const command = ["--pdeathsig", "KILL", program, ...args];
    const child = inNs(node.ns, () =>
      spawn("setpriv", command, { env, stdio: ["ignore", "pipe", "pipe"], ...options }),
    );
    this.#children.push(child);
    return child;
  }

  /** The udp backend's forwarders outlive their agents, and end with their device. */
  #endForwarders(): void {
    for (const { rtnl } of this.#nodes) rtnl.execute(deleteLink({ name: "flannel0" }), { tolerate: isNotFound });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off("exit", this.#onExit);
    process.off("SIGTERM", exitNow);
    await Promise.all(this.#children.map((child) => endChild(child)));
    this.#endForwarders();
    await this.#store?.[Symbol.asyncDispose]();
    await this.stopStore();
    for (const { ns, rtnl } of this.#nodes) {
      rtnl[Symbol.dispose]();
      ns.close();
    }
    this.#rtnl[Symbol.dispose]();
    this.#fabric.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function exitNow(): void {
  process.exit(1);
}

export async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

function watchAgent(child: ChildProcess): AgentProcess {
  let log = "";
  child.stderr?.setEncoding("utf8").on("data", (part: string) => {
    log += part;
  });
  const exit = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  const lines = createInterface({ input: child.stdout ?? process.stdin });
  const waiting = new Map<string, (value: unknown) => void>();
  lines.on("line", (line) => {
    for (const [key, value] of Object.entries(JSON.parse(line) as object))
      waiting.get(key)?.(key === "ready" ? JSON.parse(line) : value);
  });
  const said = (key: string): Promise<unknown> =>
    patiently(`the agent's ${key}`, async (resolve) => {
      waiting.set(key, resolve);
      await exit;
      throw new Error(`the agent ended before it said ${key}: ${log}`);
    });
  const ready = said("ready") as Promise<ReadyReport>;
  // A test that never waits for it does not want to hear of it either.
  ready.catch(() => {});
  return {
    child,
    ready,
    exit,
    log: () => log,
    logged: (line) =>
      patiently(`the log to say ${line}`, async (resolve) => {
        const look = (): void => {
          if (log.includes(line)) resolve(undefined);
        };
        look();
        child.stderr?.on("data", look);
        await exit;
        throw new Error(`the agent ended before it logged ${line}: ${log}`);
      }),
    status: () => {
      const status = said("status") as Promise<AgentStatus>;
      child.kill("SIGUSR2");
      return status;
    },
    kill: async (signal) => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      return exit;
    },
  };
}

async function until(ns: NetNs, what: string, condition: () => boolean): Promise<void> {
  await patiently(what, (resolve) => {
    const look = (): void => {
      if (condition()) resolve(undefined);
    };
    const watch = watchRtnl(ns, look, look);
    look();
    return watch;
  });
}

async function untilNft(ns: NetNs, what: string, condition: (nft: Nft) => boolean): Promise<void> {
  using nft = Nft.open(ns);
  await patiently(what, (resolve) => {
    const look = (): void => {
      if (condition(nft)) resolve(undefined);
    };
    const watch = nft.watch(look);
    look();
    return watch;
  });
}

/** Fails with what was waited for, rather than with nothing, when the event never comes. */
export async function patiently<T>(
  what: string,
  wait: (resolve: (value: T) => void) => Disposable | Promise<never>,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let watch: Disposable | Promise<never> | undefined;
  try {
    return await new Promise<T>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE_MS);
      watch = wait(resolve);
      if (watch instanceof Promise) watch.catch(reject);
    });
  } finally {
    clearTimeout(timer);
    if (watch && !(watch instanceof Promise)) watch[Symbol.dispose]();
  }
}
