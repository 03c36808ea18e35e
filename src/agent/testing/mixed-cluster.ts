import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { parseSubnetEnv, type SubnetEnv } from "../../formats/flannel/index.ts";
import { familyOf, formatPrefix, type IpFamily, type Prefix, prefixFamily } from "../../formats/netip/index.ts";
import { writeSysctl } from "../../kernel/index.ts";
import type { KeyValue } from "../../store/index.ts";
import { type AgentProcess, type ClusterStore, TestCluster, type TestNode } from "./cluster.ts";
import { type FlannelProcess, startFlanneld } from "./flanneld.ts";
import { ping, TestPod } from "./pod.ts";

const PATIENCE_MS = 20_000;

export type DaemonKind = "podpath" | "flannel";

/** A node of either kind, with a pod. */
export interface Member {
  readonly kind: DaemonKind;
  readonly node: TestNode;
  readonly pod: TestPod;
  readonly env: SubnetEnv;
  /** Its lease's key. */
  readonly key: string;
  daemon: AgentProcess | FlannelProcess;
}

export interface MixedClusterOptions {
  readonly config: object;
  readonly serve: (cluster: TestCluster) => Promise<ClusterStore>;
  /** Whether a node that reaches another has a route to just its subnet, as with all backends but udp. */
  readonly hasRoutePerPeer?: boolean;
}

/** Nodes that run our agent and nodes that run Flannel's daemon, on one fabric with one store. */
export class MixedCluster implements AsyncDisposable {
  readonly cluster: TestCluster;
  readonly members: Member[] = [];
  readonly #hasRoutePerPeer: boolean;

  private constructor(cluster: TestCluster, hasRoutePerPeer: boolean) {
    this.cluster = cluster;
    this.#hasRoutePerPeer = hasRoutePerPeer;
  }

  static async start({ config, serve, hasRoutePerPeer = true }: MixedClusterOptions): Promise<MixedCluster> {
    // Flannel needs a kernel module for its other traffic manager, and iptables is compared elsewhere.
    return new MixedCluster(await TestCluster.start({ EnableNFTables: true, ...config }, serve), hasRoutePerPeer);
  }

  /** A node that is ready, with a pod; what the others know of it then is theirs. */
  async join(kind: DaemonKind, n: number, network: 100 | 101 = 100, ...args: string[]): Promise<Member> {
    const node = this.cluster.addNode(n, network);
    const daemon = await this.#run(kind, node, args);
    const env = parseSubnetEnv(readFileSync(node.subnetFile, "utf8"));
    // Flannel leaves forwarding to whoever sets up the node; our agent turns it on.
    if (kind === "flannel" && env.subnet) writeSysctl("net/ipv4/ip_forward", 1, node.ns);
    if (kind === "flannel" && env.ipv6Subnet) writeSysctl("net/ipv6/conf/all/forwarding", 1, node.ns);
    const pod = await TestPod.start(this.cluster, node, env);
    const member = { kind, node, pod, env, key: keyOf(env), daemon };
    this.members.push(member);
    return member;
  }

  /** Starts the daemon of a member whose daemon has ended. It must come back with the same subnet. */
  async startAgain(member: Member, ...args: string[]): Promise<void> {
    member.daemon = await this.#run(member.kind, member.node, args);
    assert.deepEqual(parseSubnetEnv(readFileSync(member.node.subnetFile, "utf8")), member.env);
  }

  async #run(kind: DaemonKind, node: TestNode, args: readonly string[]): Promise<AgentProcess | FlannelProcess> {
    const daemon =
      kind === "flannel"
        ? startFlanneld(this.cluster, node, ...args)
        : this.cluster.startAgent(node, "--iface", "eth0", ...args);
    await daemon.ready;
    return daemon;
  }

  /** Ends a member's daemon for good and deletes its lease. */
  async leave(member: Member): Promise<void> {
    await member.daemon.kill("SIGTERM");
    assert.ok(await this.cluster.store.delete(member.key));
    this.members.splice(this.members.indexOf(member), 1);
    await member.pod[Symbol.asyncDispose]();
  }

  /** The member's lease, once it is there. */
  async leaseOf({ key }: Member): Promise<KeyValue> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    for await (const message of this.cluster.store.watch(key, signal)) {
      const kvs = message.type === "snapshot" ? message.kvs : message.events.map(({ kv }) => kv);
      const found = kvs.findLast((kv) => kv.key === key && kv.version > 0n);
      if (found) return found;
    }
    throw new Error(`waited in vain for ${key}`);
  }

  /** Resolves when each of `at` has every other of `members`, and nobody else, in its routes. */
  async settled(at: readonly Member[] = this.members, members: readonly Member[] = this.members): Promise<void> {
    if (!this.#hasRoutePerPeer) return;
    for (const member of at) {
      const wanted = members.filter((other) => other !== member).flatMap(({ env }) => subnetsOf(env));
      await member.node.until("routes to all others", () => sameSet(peerSubnets(member), wanted.map(formatPrefix)));
    }
  }

  /**
   * Pings, and sends TCP and UDP, from every pod to every other, and from every node to the pods of the others. Where the
   * kernel does not show who knows whom, it tries until all goes well.
   */
  async assertConnected(): Promise<void> {
    const endsAt = performance.now() + PATIENCE_MS;
    let failures = await this.#failures();
    while (!this.#hasRoutePerPeer && failures.length > 0 && performance.now() < endsAt)
      failures = await this.#failures();
    assert.equal(failures.length, 0, failures.slice(0, 20).join("\n"));
  }

  async #failures(): Promise<string[]> {
    const failures: string[] = [];
    const attempts = this.members.flatMap((from) =>
      this.members
        .filter((to) => to !== from)
        .flatMap((to) => to.pod.addresses.map((address) => tryAll(from, to.pod.name, address, failures))),
    );
    await Promise.all(attempts);
    return failures;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { pod } of this.members) await pod[Symbol.asyncDispose]();
    await this.cluster[Symbol.asyncDispose]();
  }
}

async function tryAll(
  from: Member,
  name: string,
  address: TestPod["addresses"][number],
  failures: string[],
): Promise<void> {
  const tries = {
    "ping from the pod": from.pod.why("ping", address),
    "TCP from the pod": from.pod.why("tcp", address),
    "UDP from the pod": from.pod.why("udp", address),
    "ping from the node": ping(from.node.ns, address),
  };
  for (const [what, attempt] of Object.entries(tries)) {
    const why = await attempt;
    if (why !== undefined) failures.push(`${what} of ${from.node.name} (${from.kind}) to ${name}, ${address}: ${why}`);
  }
}

/** The subnets of other nodes that the member's kernel has routes to. */
function peerSubnets({ node, env }: Member): string[] {
  const lengths: Partial<Record<IpFamily, number>> = {};
  for (const prefix of subnetsOf(env)) lengths[prefixFamily(prefix)] = prefix.length;
  const own = new Set(subnetsOf(env).map(formatPrefix));
  return node.rtnl
    .routes({ table: 254 })
    .filter(({ dst }) => dst && dst.length === lengths[familyOf(dst.address)])
    .map(({ dst }) => (dst ? formatPrefix(dst) : ""))
    .filter((dst) => !own.has(dst) && !/^(192\.168\.10[01]\.0|fd00:10[01]::|fe80::)/.test(dst));
}

function subnetsOf({ subnet, ipv6Subnet }: SubnetEnv): Prefix[] {
  return [subnet, ipv6Subnet].filter((prefix) => prefix !== undefined);
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return JSON.stringify([...a].sort()) === JSON.stringify([...b].sort());
}

function keyOf({ subnet, ipv6Subnet }: SubnetEnv): string {
  const name = (prefix: Prefix | undefined): string => (prefix ? formatPrefix(prefix).replace("/", "-") : "0.0.0.0-0");
  return `/coreos.com/network/subnets/${name(subnet)}${ipv6Subnet ? `&${name(ipv6Subnet)}` : ""}`;
}
