// What can happen to a cluster. Each fault says whose packets it may cost, does its harm, and takes back what no agent is
// there to repair (a cable, a process that stands still, a key that is nobody's).
import { setTimeout as sleep } from "node:timers/promises";
import type { Store } from "../../store/index.ts";
import { fabricPort, STORE_PREFIX } from "../topology.ts";
import type { NodeUnderTest } from "./node-under-test.ts";
import type { Random } from "./random.ts";
import type { Touched } from "./verdict.ts";

export interface FaultContext {
  readonly random: Random;
  readonly nodes: readonly NodeUnderTest[];
  readonly store: Store;
  readonly endpoint: string;
  /** In the fabric's namespace; must succeed. */
  readonly fabric: (command: string) => void;
  /** `agent/node1` or `store`; waits until it is back if asked to. */
  readonly kill: (process: string, signal: NodeJS.Signals, wait: boolean) => Promise<void>;
  readonly setClock: (node: string, offsetSeconds: number) => void;
}

export interface Fault {
  /** `delete-route node1 -> node2` */
  readonly name: string;
  readonly touched: Touched;
  /** Faults that share one of these are not for one round. */
  readonly of: readonly string[];
  run(): Promise<void>;
  /** What the agents see of it they see through the store, to which they may have to find back first. */
  readonly throughStore?: boolean;
}

type Make = (context: FaultContext) => Fault;

const NOBODY: Touched = {};
const SUBNETS = `${STORE_PREFIX}/subnets`;

/** One command in one node, which its agent repairs. */
function inNode(kind: string, touches: boolean, command: (node: NodeUnderTest, random: Random) => string): Make {
  return ({ random, nodes }) => {
    const node = random.pick(nodes);
    const line = command(node, random);
    return {
      name: `${kind} ${node.name}`,
      touched: touches ? { nodes: [node.name] } : NOBODY,
      of: [`kernel ${node.name}`],
      run: async () => void node.run(line),
    };
  };
}

/** One command in one node about one of its peers. */
function ofPeer(kind: string, command: (peer: NodeUnderTest) => string): Make {
  return ({ random, nodes }) => {
    const [node, peer] = random.shuffled(nodes) as [NodeUnderTest, NodeUnderTest];
    return {
      name: `${kind} ${node.name} -> ${peer.name}`,
      touched: { pairs: [[node.name, peer.name]] },
      of: [`kernel ${node.name}`, `kernel ${peer.name}`],
      run: async () => void node.run(command(peer)),
    };
  };
}

const stopped =
  (choose: (context: FaultContext) => { process: string; throughStore: boolean }): Make =>
  (context) => {
    const { process, throughStore } = choose(context);
    const ms = context.random.integer(500, 3000);
    return {
      name: `stop ${process} for ${ms} ms`,
      touched: NOBODY,
      of: [process],
      throughStore,
      run: async () => {
        await context.kill(process, "SIGSTOP", false);
        await sleep(ms);
        await context.kill(process, "SIGCONT", false);
      },
    };
  };

function killed(process: string, { kill }: FaultContext, throughStore = false): Fault {
  return {
    name: `kill ${process}`,
    touched: NOBODY,
    of: [process],
    throughStore,
    run: () => kill(process, "SIGKILL", true),
  };
}

/** The cable of a node, or of the store, pulled for a while; `silent`: plugged in, and nothing comes through. */
function partition(silent: boolean, isStore: boolean): Make {
  return ({ random, nodes, fabric }) => {
    const victim = isStore ? undefined : random.pick(nodes);
    const node = victim?.name;
    const port = fabricPort(node ?? "store");
    const ms = random.integer(300, 3000);
    const [cut, heal] = silent
      ? [
          [
            `nft add table netdev soak-${port}`,
            `nft add chain netdev soak-${port} in { type filter hook ingress device ${port} priority 0; policy drop; }`,
          ],
          [`nft delete table netdev soak-${port}`],
        ]
      : [[`ip link set ${port} down`], [`ip link set ${port} up`]];
    return {
      name: `${silent ? "silent partition" : "partition"} of ${node ?? "store"} for ${ms} ms`,
      touched: node === undefined ? NOBODY : { nodes: [node] },
      of: [`cable ${node ?? "store"}`],
      throughStore: true,
      run: async () => {
        for (const command of cut) fabric(command);
        await sleep(ms);
        for (const command of heal) fabric(command);
        await victim?.untilReached(nodes);
      },
    };
  };
}

/** The interface of the node itself goes down and up; its default route, which goes with it, comes back with its manager. */
const linkFlap: Make = ({ random, nodes }) => {
  const node = random.pick(nodes);
  const times = random.integer(1, 3);
  return {
    name: `link flap ${node.name}, ${times} times`,
    touched: { nodes: [node.name] },
    of: [`kernel ${node.name}`, `cable ${node.name}`],
    throughStore: true,
    run: async () => {
      const routes = node
        .must("ip route show default dev eth0")
        .split("\n")
        .filter((line) => line !== "");
      for (let i = 0; i < times; i++) {
        node.must("ip link set eth0 down");
        await sleep(50);
        node.must("ip link set eth0 up");
        for (const route of routes) node.must(`ip route replace ${route.trim()} dev eth0`);
        await sleep(50);
      }
      await node.untilReached(nodes);
    },
  };
};

/** Keys and values under the network's prefix that are no lease of anybody, or one of nobody here. */
const badKey: Make = ({ random, nodes, store }) => {
  const victim = random.pick(nodes);
  const n = random.integer(200, 250);
  const lease = (ip: string): string =>
    `{"PublicIP":"${ip}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:${n.toString(16)}"}}`;
  const [key, value, what] = random.pick([
    [`${SUBNETS}/nonsense-${n}`, "x", "a key that is no subnet"],
    [`${SUBNETS}/10.244.${n}.0-24`, "{", "a value that is no JSON"],
    [`${SUBNETS}/10.244.${n}.0-24`, '{"PublicIP":"not an address"}', "a value without an address"],
    [`${SUBNETS}/10.244.${n}.0-24`, lease(victim.address), "a second lease with a node's PublicIP"],
    [`${SUBNETS}/10.244.0.0-16`, lease("192.168.100.250"), "a lease that overlaps all others"],
    [`${SUBNETS}/172.16.${n}.0-24`, lease("192.168.100.250"), "a lease outside of the network"],
    [`${SUBNETS}/${"9".repeat(2000)}`, "x".repeat(100_000), "a key and a value of great length"],
    [`/podpath/services/specs/default/bad-${n}`, "{}", "a Service that is none"],
  ] as const);
  return {
    name: `bad key: ${what}`,
    touched: NOBODY,
    of: ["keys", "store"],
    throughStore: true,
    run: async () => {
      await store.put(key, value);
      await sleep(300);
      await store.delete(key);
    },
  };
};

/** Somebody writes over a node's own lease, or deletes it: the node puts it back. */
const lostLease: Make = ({ random, nodes, store }) => {
  const node = random.pick(nodes);
  const key = `${SUBNETS}/${node.subnet.replace("/", "-")}`;
  const isDeleted = random.next() < 0.5;
  return {
    name: `${isDeleted ? "lease deleted" : "lease written over"}: ${node.name}`,
    // Others believe a deletion; a value that they cannot read they do not.
    touched: isDeleted ? { nodes: [node.name] } : NOBODY,
    of: ["keys", "store", `agent/${node.name}`],
    throughStore: true,
    run: async () => void (await (isDeleted ? store.delete(key) : store.put(key, "garbage"))),
  };
};

/** A node that is not there joins, and goes. */
const stranger: Make = ({ random, store }) => {
  const n = random.integer(200, 250);
  const key = `${SUBNETS}/10.244.${n}.0-24`;
  return {
    name: `a node joins and goes: 10.244.${n}.0/24`,
    touched: NOBODY,
    of: ["keys", "store"],
    throughStore: true,
    run: async () => {
      const mac = `02:00:00:00:01:${n.toString(16)}`;
      await store.put(
        key,
        `{"PublicIP":"192.168.100.${n}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"${mac}"}}`,
      );
      await sleep(random.integer(0, 500));
      await store.delete(key);
    },
  };
};

/** The clock of an agent, or of the store, jumps by up to a day; it stays so until it jumps again. */
const clockJump: Make = ({ random, nodes, setClock }) => {
  const where = random.pick([...nodes.map(({ name }) => name), "store"]);
  const offset = random.integer(-86_400, 86_400);
  return {
    name: `clock of ${where} at ${offset} s`,
    touched: NOBODY,
    of: [`clock ${where}`],
    run: async () => {
      setClock(where, offset);
      await sleep(1500);
    },
  };
};

const allAgents: Make = (context) => ({
  name: "kill all agents",
  touched: NOBODY,
  of: context.nodes.map(({ name }) => `agent/${name}`),
  run: async () =>
    void (await Promise.all(context.nodes.map(({ name }) => context.kill(`agent/${name}`, "SIGKILL", true)))),
});

const FAULTS: Readonly<Record<string, Make>> = {
  "kill-agent": (context) => killed(`agent/${context.random.pick(context.nodes).name}`, context),
  "kill-all-agents": allAgents,
  "stop-agent": stopped(({ random, nodes }) => ({ process: `agent/${random.pick(nodes).name}`, throughStore: false })),
  "kill-store": (context) => killed("store", context, true),
  "stop-store": stopped(() => ({ process: "store", throughStore: true })),
  partition: partition(false, false),
  "silent-partition": partition(true, false),
  "partition-store": partition(false, true),
  "link-flap": linkFlap,
  "delete-device": inNode("delete flannel.1", true, () => "ip link del flannel.1"),
  "device-down": inNode("flannel.1 down", true, () => "ip link set flannel.1 down"),
  "device-changed": inNode(
    "MAC and MTU of flannel.1",
    true,
    () => "ip link set flannel.1 address 02:00:00:00:00:aa mtu 1280",
  ),
  "flush-addresses": inNode("flush addresses of flannel.1", true, () => "ip addr flush dev flannel.1"),
  "flush-routes": inNode("flush our routes", true, () => "ip route flush proto 112"),
  "flush-neighbours": inNode("flush neighbours", true, () => "ip neigh flush dev flannel.1 nud all"),
  "flush-rules": inNode("flush ruleset", false, () => "nft flush ruleset"),
  "delete-table": inNode(
    "delete table",
    false,
    (_, random) => `nft delete table ip ${random.pick(["flannel-ipv4", "podpath-gateway"])}`,
  ),
  "change-rules": inNode("add a rule", false, () => "nft insert rule ip flannel-ipv4 postrtg counter"),
  "delete-route": ofPeer("delete route", (peer) => `ip route del ${peer.subnet}`),
  "change-route": ofPeer(
    "change route",
    (peer) => `ip route replace ${peer.subnet} via 192.168.100.1 dev eth0 proto 112`,
  ),
  "delete-neighbour": ofPeer("delete neighbour", (peer) => `ip neigh del ${peer.gateway} dev flannel.1`),
  "change-neighbour": ofPeer(
    "change neighbour",
    (peer) => `ip neigh replace ${peer.gateway} lladdr 02:00:00:00:00:bb dev flannel.1 nud permanent`,
  ),
  "delete-fdb": ofPeer("delete FDB entry", (peer) => `bridge fdb del ${peer.vtepMac} dev flannel.1`),
  "change-fdb": ofPeer(
    "change FDB entry",
    (peer) => `bridge fdb replace ${peer.vtepMac} dev flannel.1 dst 192.168.100.250`,
  ),
  "bad-key": badKey,
  "lost-lease": lostLease,
  stranger,
  "clock-jump": clockJump,
};

export const FAULT_KINDS: readonly string[] = Object.keys(FAULTS);

/** A fault that lies about whom it touches, and one that nobody repairs: a soak that does not find them finds nothing. */
const LIES: Readonly<Record<string, Make>> = {
  "secret-loss": (context) => ({ ...partition(true, false)(context), touched: NOBODY }),
  "lasting-harm": ofPeer(
    "foreign route",
    (peer) => `ip route replace ${peer.subnet} via 192.168.100.1 dev eth0 proto static`,
  ),
};
export const LIE_KINDS: readonly string[] = Object.keys(LIES);

/** One fault, or two or three at once that have nothing to do with each other. The seed decides. */
export function nextFaults(context: FaultContext, kinds: readonly string[]): { kind: string; fault: Fault }[] {
  const count = context.random.next() < 0.7 ? 1 : context.random.integer(2, 3);
  const faults: { kind: string; fault: Fault }[] = [];
  for (let i = 0; i < count; i++) {
    const kind = context.random.pick(kinds);
    const fault = (FAULTS[kind] ?? LIES[kind])?.(context);
    if (fault && !faults.some((other) => other.fault.of.some((name) => fault.of.includes(name))))
      faults.push({ kind, fault });
  }
  return faults;
}
