// A throw-away cluster of namespaces, made with ip, bridge and nft only: what our own code makes must not be the measure
// of what the kernel does. It ends with this process: its namespaces have no names and its processes hang on a channel.
import { type ChildProcess, fork, spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { fileURLToPath } from "node:url";
import { encodeIcmp, ICMP_ECHO } from "../../formats/packet/index.ts";
import { createUnnamedNetNs, inNs, type NetNs, writeSysctl } from "../../kernel/index.ts";
import { close, recv, sendto, socket } from "../../kernel/sys.ts";
import type { Cast } from "../../model/index.ts";
import type { ObservedNamespace, Peers } from "../index.ts";
import type { Ask } from "./player.ts";

/** Namespace -> the node it is on. */
const NAMESPACES = {
  fabric: "fabric",
  gateway: "gateway",
  client: "client",
  node1: "node1",
  node2: "node2",
  "pod-a": "node1",
  "pod-b": "node1",
  "pod-c": "node2",
} as const;
export type Name = keyof typeof NAMESPACES;

const PODS = [
  { pod: "pod-a", node: "node1", veth: "veth0000000a", address: "10.244.1.2", net: 1 },
  { pod: "pod-b", node: "node1", veth: "veth0000000b", address: "10.244.1.3", net: 1 },
  { pod: "pod-c", node: "node2", veth: "veth0000000c", address: "10.244.2.2", net: 2 },
] as const;
const PEERS = [
  { node: "gateway", net: 0, underlay: "192.168.100.1" },
  { node: "node1", net: 1, underlay: "192.168.100.11" },
  { node: "node2", net: 2, underlay: "192.168.100.12" },
] as const;

export const NODE1_CAST: Cast = cast("pod-a", "node1", "pod-b", "node1");
export const ACROSS_CAST: Cast = cast("pod-a", "node1", "pod-c", "node2");

function cast(source: string, sourceNode: string, target: string, targetNode: string): Cast {
  const veth = (name: string): string => PODS.find(({ pod }) => pod === name)?.veth ?? "";
  return {
    places: {
      ...{ "src-pod": source, "src-node": sourceNode, "dst-pod": target, "dst-node": targetNode },
      ...{ fabric: "fabric", gateway: "gateway", client: "client" },
    },
    devices: {
      ...{ "src-veth": veth(source), "dst-veth": veth(target) },
      ...{ "src-port": `p-${sourceNode}`, "dst-port": `p-${targetNode}`, "gateway-port": "p-gateway" },
    },
  };
}

export class Cluster implements Disposable {
  readonly #spaces = new Map<Name, NetNs>();
  readonly #players = new Map<Name, ChildProcess>();

  static async create(): Promise<Cluster> {
    const cluster = new Cluster();
    try {
      for (const name of Object.keys(NAMESPACES) as Name[]) cluster.#spaces.set(name, createUnnamedNetNs());
      cluster.#wire();
      for (const { pod } of PODS) await cluster.#play(pod);
      await cluster.#play("node1");
      await cluster.#play("client");
      return cluster;
    } catch (error) {
      cluster[Symbol.dispose]();
      throw error;
    }
  }

  ns(name: Name): NetNs {
    const ns = this.#spaces.get(name);
    if (!ns) throw new Error(`no namespace ${name}`);
    return ns;
  }

  /** Runs a program inside, with `input`; throws with its words when it fails. */
  run(name: Name, command: string, input = ""): string {
    const [program = "", ...args] = command.split(" ");
    const { status, stdout, stderr } = inNs(this.ns(name), () => spawnSync(program, args, { input, encoding: "utf8" }));
    if (status !== 0) throw new Error(`${command} in ${name}: ${stderr}`);
    return stdout;
  }

  sysctl(name: Name, key: string, value: string): void {
    writeSysctl(key, value, this.ns(name));
  }

  namespaces(): ObservedNamespace[] {
    const peers = new Map<string, Record<string, Peers[string]>>();
    const join = (a: string, device: string, b: string, other: string): void => {
      peers.set(a, { ...peers.get(a), [device]: { namespace: b, device: other } });
      peers.set(b, { ...peers.get(b), [other]: { namespace: a, device } });
    };
    for (const { pod, node, veth } of PODS) join(pod, "eth0", node, veth);
    for (const { node } of PEERS) join(node, "eth0", "fabric", `p-${node}`);
    join("client", "eth0", "gateway", "eth1");
    return [...this.#spaces].map(([name, ns]) => ({ node: NAMESPACES[name], name, ns, peers: peers.get(name) ?? {} }));
  }

  /** Asks from inside a namespace; rejects when no answer comes. */
  async ask(from: Name, ask: Omit<Ask, "timeoutMs">, timeoutMs = 5000): Promise<void> {
    const player = this.#players.get(from);
    const said = new Promise<{ error?: string }>((resolve) =>
      player?.once("message", (message) => resolve(message as object)),
    );
    player?.send({ ...ask, timeoutMs });
    const { error } = await said;
    if (error) throw new Error(error);
  }

  /** An ICMP echo with `text` as its data; resolves when something came back to the raw socket, rejects after a while. */
  async ping(from: Name, host: string, text: string, timeoutMs = 5000): Promise<void> {
    const [AF_INET, SOCK_RAW_NONBLOCK, ICMP] = [2, 3 | 0o4000, 1];
    const fd = inNs(this.ns(from), () => socket(AF_INET, SOCK_RAW_NONBLOCK, ICMP));
    try {
      // Another identifier each time: connection tracking would remember what became of the last one.
      const rest = (randomInt(1, 0x7fff) << 16) | 1;
      const message = encodeIcmp({ type: ICMP_ECHO, code: 0, rest, payload: Buffer.from(text) });
      sendto(
        fd,
        message,
        message.length,
        0,
        Uint8Array.of(AF_INET, 0, 0, 0, ...host.split(".").map(Number), 0, 0, 0, 0, 0, 0, 0, 0),
        16,
      );
      const buffer = new Uint8Array(2000);
      const until = Date.now() + timeoutMs;
      // On lo the request itself comes first: type 8. An answer is type 0.
      for (let length = -1; length < 28 || buffer[20] !== 0; length = recv(fd, buffer, buffer.length, 0)) {
        if (Date.now() > until) throw new Error("timed out");
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      close(fd);
    }
  }

  [Symbol.dispose](): void {
    for (const player of this.#players.values()) player.disconnect();
    for (const ns of this.#spaces.values()) ns.close();
  }

  async #play(name: Name): Promise<void> {
    const file = fileURLToPath(new URL("./player.js", import.meta.url));
    const child = inNs(this.ns(name), () => fork(file, { stdio: ["ignore", "inherit", "inherit", "ipc"] }));
    this.#players.set(name, child);
    await new Promise((resolve, reject) => {
      child.once("message", resolve);
      child.once("exit", (code) => reject(new Error(`the player of ${name} ended with ${code}`)));
    });
    child.removeAllListeners("exit");
  }

  #wire(): void {
    const place = (name: Name): string => `/proc/${process.pid}/fd/${this.ns(name).fd}`;
    const ip = (name: Name, ...lines: string[]): void => void this.run(name, "ip -batch -", lines.join("\n"));
    for (const name of this.#spaces.keys()) {
      ip(name, "link set lo up");
      this.sysctl(name, "net/ipv6/conf/all/disable_ipv6", "1");
    }
    ip("fabric", "link add fabric type bridge", "link set fabric up");
    for (const { node, net, underlay } of PEERS) {
      ip("fabric", `link add p-${node} type veth peer name eth0 netns ${place(node)}`);
      ip("fabric", `link set p-${node} master fabric up`);
      ip(node, "link set eth0 up", `address add ${underlay}/24 dev eth0`);
      ip(
        node,
        `link add flannel.1 address 0a:58:00:00:00:0${net} mtu 1450 type vxlan id 1 local ${underlay} dev eth0 dstport 8472 nolearning`,
      );
      ip(node, "link set flannel.1 up", `address add 10.244.${net}.0/32 dev flannel.1`);
      this.sysctl(node, "net/ipv4/ip_forward", "1");
      for (const peer of PEERS.filter((other) => other.node !== node)) {
        const mac = `0a:58:00:00:00:0${peer.net}`;
        ip(node, `route add 10.244.${peer.net}.0/24 via 10.244.${peer.net}.0 dev flannel.1 onlink`);
        ip(node, `neigh add 10.244.${peer.net}.0 lladdr ${mac} dev flannel.1 nud permanent`);
        this.run(node, `bridge fdb add ${mac} dev flannel.1 dst ${peer.underlay} self permanent`);
      }
    }
    for (const { node, net } of PEERS.slice(1)) {
      ip(node, "link add cni0 mtu 1450 type bridge", "link set cni0 up", `address add 10.244.${net}.1/24 dev cni0`);
      ip(node, "route add default via 192.168.100.1");
      this.run(node, "nft -f -", NODE_RULES);
    }
    for (const { pod, node, veth, address, net } of PODS) {
      ip(
        node,
        `link add ${veth} mtu 1450 type veth peer name eth0 mtu 1450 netns ${place(pod)}`,
        `link set ${veth} master cni0 up`,
      );
      ip(pod, "link set eth0 up", `address add ${address}/24 dev eth0`, `route add default via 10.244.${net}.1`);
    }
    ip(
      "gateway",
      `link add eth1 type veth peer name eth0 netns ${place("client")}`,
      "link set eth1 up",
      "address add 203.0.113.1/24 dev eth1",
    );
    ip("client", "link set eth0 up", "address add 203.0.113.10/24 dev eth0", "route add default via 203.0.113.1");
    this.run("gateway", "nft -f -", GATEWAY_RULES);
  }
}

const NODE_RULES = `table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ip saddr 10.244.0.0/16 ip daddr 10.244.0.0/16 return
    ip saddr 10.244.0.0/16 masquerade fully-random
  }
}
`;
const GATEWAY_RULES = `table ip nat {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    ip daddr 10.96.0.10 meta l4proto { tcp, udp } th dport 80 meta mark set mark or 0x4000 dnat to 10.244.2.2:8080
    ip daddr 10.96.0.10 ip protocol icmp meta mark set mark or 0x4000 dnat to 10.244.2.2
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    meta mark and 0x4000 != 0 masquerade fully-random
    oifname "eth1" masquerade
  }
}
`;
