// A client outside, a gateway node with two pods, and a second node with one pod behind a VXLAN, in unnamed namespaces:
//
//   client 203.0.113.10 -- eth1 gateway eth0 192.168.100.1 -- 192.168.100.12 eth0 node2
//                          cni0 10.244.1.1: a .2, b .3          cni0 10.244.2.1: c .2
//                          flannel.1 10.244.1.0                 flannel.1 10.244.2.0
//
// and IPv6 as far as pods a and b: client 2001:db8::10, eth1 2001:db8::1, cni0 fd00:244:1::1, a fd00:244:1::2, b ::3.
import { type ChildProcess, fork, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createUnnamedNetNs, inNs, type NetNs } from "../../kernel/index.ts";
import type { PeerAnswer, PeerRequest } from "./peer-process.ts";

export type HostName = "client" | "gateway" | "node2" | "a" | "b" | "c";
const HOSTS: readonly HostName[] = ["client", "gateway", "node2", "a", "b", "c"];
const PROGRAM = fileURLToPath(new URL("peer-process.js", import.meta.url));

export class Cluster implements Disposable {
  readonly namespaces: Readonly<Record<HostName, NetNs>>;
  readonly #peers = new Map<HostName, Peer>();

  constructor() {
    this.namespaces = Object.fromEntries(HOSTS.map((name) => [name, createUnnamedNetNs()])) as Record<HostName, NetNs>;
    try {
      this.#connect();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Runs a program in a host and gives its output. */
  run(host: HostName, program: string, args: readonly string[], input = ""): string {
    const result = inNs(this.namespaces[host], () => spawnSync(program, args, { input, encoding: "utf8" }));
    if (result.error) throw result.error;
    if (result.status !== 0) throw new Error(`${host}: ${program} ${args.join(" ")}: ${result.stderr}${result.stdout}`);
    return result.stdout;
  }

  peer(host: HostName): Peer {
    const peer = this.#peers.get(host) ?? new Peer(this.namespaces[host]);
    this.#peers.set(host, peer);
    return peer;
  }

  #connect(): void {
    for (const host of HOSTS) {
      const routes = host === "gateway" || host === "node2";
      for (const sysctl of ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"])
        this.run(host, "sysctl", ["-q", "-w", `${sysctl}=${Number(routes)}`]);
      this.run(host, "ip", ["link", "set", "lo", "up"]);
    }
    this.#veth("client", "eth0", "203.0.113.10/24", "gateway", "eth1", "203.0.113.1/24");
    this.#veth("gateway", "eth0", "192.168.100.1/24", "node2", "eth0", "192.168.100.12/24");
    this.run("client", "ip", ["route", "add", "default", "via", "203.0.113.1"]);
    this.run("gateway", "ip", ["route", "add", "default", "via", "203.0.113.10"]);
    this.run("node2", "ip", ["route", "add", "default", "via", "192.168.100.1"]);
    this.#node("gateway", 1, "192.168.100.1", 2, "192.168.100.12");
    this.#node("node2", 2, "192.168.100.12", 1, "192.168.100.1");
    this.#pod("gateway", "a", "10.244.1.2/24", "10.244.1.1");
    this.#pod("gateway", "b", "10.244.1.3/24", "10.244.1.1");
    this.#pod("node2", "c", "10.244.2.2/24", "10.244.2.1");
    this.#ipv6("client", "eth0", "2001:db8::10/64", "2001:db8::1");
    this.#ipv6("gateway", "eth1", "2001:db8::1/64", "2001:db8::10");
    this.#ipv6("gateway", "cni0", "fd00:244:1::1/64");
    this.#ipv6("a", "eth0", "fd00:244:1::2/64", "fd00:244:1::1");
    this.#ipv6("b", "eth0", "fd00:244:1::3/64", "fd00:244:1::1");
  }

  #veth(one: HostName, device: string, address: string, other: HostName, peer: string, peerAddress: string): void {
    const fd = `/proc/${process.pid}/fd/${this.namespaces[other].fd}`;
    this.run(one, "ip", ["link", "add", device, "type", "veth", "peer", "name", peer, "netns", fd]);
    this.#up(one, device, address);
    this.#up(other, peer, peerAddress);
  }

  #up(host: HostName, device: string, address?: string): void {
    if (address) this.run(host, "ip", ["address", "add", address, "dev", device]);
    this.run(host, "ip", ["link", "set", device, "up"]);
  }

  /** Without duplicate address detection, which would take a second. */
  #ipv6(host: HostName, device: string, address: string, router?: string): void {
    this.run(host, "ip", ["address", "add", address, "dev", device, "nodad"]);
    if (router) this.run(host, "ip", ["-6", "route", "add", "default", "via", router]);
  }

  #node(host: HostName, subnet: number, ip: string, peerSubnet: number, peerIp: string): void {
    const mac = (n: number): string => `02:00:00:00:00:0${n}`;
    const peer = `10.244.${peerSubnet}.0`;
    const script = [
      "link add cni0 type bridge",
      `address add 10.244.${subnet}.1/24 dev cni0`,
      "link set cni0 up",
      `link add flannel.1 address ${mac(subnet)} mtu 1450 type vxlan id 1 local ${ip} dstport 8472 nolearning noudpcsum`,
      `address add 10.244.${subnet}.0/32 dev flannel.1`,
      "link set flannel.1 up",
      `neighbour add ${peer} lladdr ${mac(peerSubnet)} dev flannel.1 nud permanent`,
      `route add ${peer}/24 via ${peer} dev flannel.1 onlink`,
    ];
    this.run(host, "ip", ["-batch", "-"], script.join("\n"));
    this.run(host, "bridge", ["fdb", "add", mac(peerSubnet), "dev", "flannel.1", "dst", peerIp, "self", "permanent"]);
  }

  #pod(node: HostName, pod: HostName, address: string, router: string): void {
    const fd = `/proc/${process.pid}/fd/${this.namespaces[pod].fd}`;
    this.run(node, "ip", ["link", "add", `veth-${pod}`, "type", "veth", "peer", "name", "eth0", "netns", fd]);
    this.run(node, "ip", ["link", "set", `veth-${pod}`, "master", "cni0", "up"]);
    // Flannel's conflist says hairpinMode. With bridge-nf-call-iptables, DNAT back into the bridge happens in the
    // bridge, and a frame does not go out by the port it came in by unless the port is told to let it.
    this.run(node, "bridge", ["link", "set", "dev", `veth-${pod}`, "hairpin", "on"]);
    this.#up(pod, "eth0", address);
    this.run(pod, "ip", ["route", "add", "default", "via", router]);
  }

  [Symbol.dispose](): void {
    for (const peer of this.#peers.values()) peer[Symbol.dispose]();
    for (const ns of Object.values(this.namespaces)) ns.close();
  }
}

/** A process in a host. */
class Peer implements Disposable {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (answer: PeerAnswer) => void>();
  #id = 0;

  constructor(ns: NetNs) {
    this.#process = inNs(ns, () => fork(PROGRAM, { stdio: ["ignore", "inherit", "inherit", "ipc"] }));
    this.#process.on("message", ({ id, result }: { id: number; result: PeerAnswer }) => {
      this.#waiting.get(id)?.(result);
      this.#waiting.delete(id);
    });
  }

  /** The answer, or the errno's name. */
  async ask(request: PeerRequest): Promise<string> {
    const id = this.#id++;
    const result = await new Promise<PeerAnswer>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#process.send({ id, request });
    });
    return result.answer ?? result.error ?? "";
  }

  [Symbol.dispose](): void {
    this.#process.kill("SIGKILL");
  }
}
