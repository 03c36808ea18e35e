// Namespaces of the benchmark's own: a switch, a store, a node for each daemon, and a second node that answers pings.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseIp, parseMac, parsePrefix } from "../dist/formats/netip/index.js";
import * as netlink from "../dist/formats/netlink/index.js";
import { createUnnamedNetNs, inNs, Rtnl } from "../dist/kernel/index.js";
import { openEtcdStore } from "../dist/store/index.js";

const PODPATH = fileURLToPath(new URL("../dist/cmd/podpath.js", import.meta.url));
export const FLANNELD = fileURLToPath(new URL("../node_modules/.cache/podpath/flanneld", import.meta.url));
const STORE = "172.16.0.2";
/** The nodes' own network; the leases' nodes have addresses in it that nobody answers at. */
const UNDERLAY_LENGTH = 12;

/** A key that is a lease, and its value: peer `n` of a made-up cluster. */
export function leaseOf(prefix, n) {
  const [high, low] = [1 + (n >> 8), n & 255];
  const mac = `02:00:00:${[n >> 16, (n >> 8) & 255, n & 255].map(hex).join(":")}`;
  return [`${prefix}/subnets/10.${high}.${low}.0-24`, leaseValue(`172.${20 + (n >> 16)}.${high}.${low}`, mac)];
}

export function leaseValue(publicIp, mac) {
  return `{"PublicIP":"${publicIp}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"${mac}"}}`;
}

/** An address of that peer's subnet. */
export function podOf(n) {
  return parseIp(`10.${1 + (n >> 8)}.${n & 255}.1`);
}

const hex = (byte) => byte.toString(16).padStart(2, "0");

export class Arena {
  /** On tmpfs, so that the disk of the day does not decide how fast a store is. */
  dir = mkdtempSync("/dev/shm/podpath-bench-");
  #namespaces = [];
  #processes = new Set();
  #fabric;
  store;

  static async open(kind) {
    const arena = new Arena();
    try {
      arena.#fabric = arena.#namespace();
      arena.#fabric.rtnl.execute(netlink.newLink({ name: "fabric", kind: { kind: "bridge" }, isUp: true }));
      await arena.#startStore(kind);
      return arena;
    } catch (error) {
      await arena.close();
      throw error;
    }
  }

  /** A namespace whose eth0 is on the fabric. */
  node(address) {
    const node = { ...this.#namespace(), address };
    const port = `p${this.#namespaces.length}`;
    const peer = { name: "eth0", netnsFd: node.ns.fd };
    this.#fabric.rtnl.execute(netlink.newLink({ name: port, kind: { kind: "veth", peer }, isUp: true }));
    this.#fabric.rtnl.execute(netlink.setLink({ name: port, master: this.#fabric.rtnl.link("fabric").index }));
    const index = node.rtnl.link("eth0").index;
    node.rtnl.execute([
      netlink.setLink({ name: "lo", isUp: true }),
      netlink.setLink({ index, isUp: true }),
      netlink.newAddress({ index, prefix: parsePrefix(`${address}/${UNDERLAY_LENGTH}`) }),
      netlink.newRoute({ family: 4, gateway: parseIp("172.16.0.1"), oif: index }),
    ]);
    return node;
  }

  /** A node without a daemon: laid by hand, to answer for subnet 10.0.0.0/24 with this MAC. */
  answeringNode(address, mac) {
    const node = this.node(address);
    node.rtnl.execute(netlink.newLink(vxlan(node, mac)));
    const index = node.rtnl.link("flannel.1").index;
    node.rtnl.execute(
      ["10.0.0.0/32", "10.0.0.1/32"].map((text) => netlink.newAddress({ index, prefix: parsePrefix(text) })),
    );
    return {
      ...node,
      /** Back to a node with a daemon. */
      knows: ({ subnet, vtepMac, address: to }) => {
        const dst = parsePrefix(subnet);
        node.rtnl.execute([
          netlink.replaceNeighbour({ index, address: dst.address, lladdr: parseMac(vtepMac) }),
          netlink.replaceFdb({ index, lladdr: parseMac(vtepMac), dst: parseIp(to) }),
          netlink.replaceRoute({ family: 4, dst, gateway: dst.address, oif: index, onlink: true }),
        ]);
      },
    };
  }

  /** A daemon in a node. @param {keyof typeof DAEMONS} name @param {string} prefix of its network in the store */
  daemon(node, name, prefix, args = []) {
    const { command, isReady } = DAEMONS[name];
    mkdirSync(`${this.dir}/${node.address}`, { recursive: true });
    const subnetFile = `${this.dir}/${node.address}/subnet.env`;
    return this.#spawn(node, [...command(`http://${STORE}:2379`, prefix, subnetFile), ...args], isReady);
  }

  #spawn(node, [program, ...args], isReady) {
    // Node reads that file at every start, which doubles the time of starting.
    const { NODE_EXTRA_CA_CERTS: _slow, ...env } = process.env;
    const started = performance.now();
    const child = inNs(node.ns, () => spawn(program, args, { cwd: this.dir, env, stdio: ["ignore", "pipe", "pipe"] }));
    this.#processes.add(child);
    const exit = new Promise((resolve) => child.once("close", resolve));
    void exit.then(() => this.#processes.delete(child));
    let said = "";
    const ready = new Promise((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding("utf8").on("data", (text) => {
          said = (said + text).slice(-20_000);
          if (isReady(said)) resolve(performance.now() - started);
        });
      void exit.then((code) => reject(new Error(`${program} ended with ${code}: ${said.slice(-2000)}`)));
    });
    ready.catch(() => {});
    /** Rejects when it ends before it is stopped. */
    const failed = exit.then((code) => {
      throw new Error(`${program} ended with ${code}: ${said.slice(-2000)}`);
    });
    failed.catch(() => {});
    const stop = async () => {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
      await exit;
      clearTimeout(timer);
    };
    return { pid: child.pid, started, ready, failed, said: () => said, stop };
  }

  async close() {
    for (const child of this.#processes) child.kill("SIGKILL");
    await this.store?.[Symbol.asyncDispose]();
    for (const { ns, rtnl } of this.#namespaces) {
      rtnl[Symbol.dispose]();
      ns.close();
    }
    rmSync(this.dir, { recursive: true, force: true });
  }

  #namespace() {
    const ns = createUnnamedNetNs();
    const opened = { ns, rtnl: Rtnl.open(ns) };
    this.#namespaces.push(opened);
    return opened;
  }

  async #startStore(kind) {
    const node = this.node(STORE);
    const url = `http://${STORE}:2379`;
    const peer = `http://${STORE}:2380`;
    const command =
      kind === "etcd"
        ? [
            "etcd",
            ...["--data-dir", "store", "--advertise-client-urls", url, "--listen-peer-urls", peer],
            // etcd names its socket HOST:PORT, in the folder it is started in.
            ...["--listen-client-urls", `${url},unix://store:0`, "--initial-advertise-peer-urls", peer],
            ...["--initial-cluster", `default=${peer}`, "--logger", "zap"],
          ]
        : [
            ...[process.execPath, PODPATH, "store", "--data-dir", `${this.dir}/store`],
            ...["--listen", `${STORE}:2379`, `unix:${this.dir}/store:0`],
          ];
    const server = this.#spawn(node, command, (said) => /serving client|172\.16\.0\.2:2379/.test(said));
    await server.ready;
    this.store = await openEtcdStore({ endpoints: [`unix://${this.dir}/store:0`] });
  }
}

const DAEMONS = {
  podpath: {
    command: (endpoint, prefix, subnetFile) => [
      ...[process.execPath, PODPATH, "agent", "--etcd-endpoints", endpoint, "--etcd-prefix", prefix],
      ...["--subnet-file", subnetFile, "--node-name", "bench"],
    ],
    isReady: (said) => said.includes('"ready":true'),
  },
  flanneld: {
    command: (endpoint, prefix, subnetFile) => [
      ...[FLANNELD, "-etcd-endpoints", endpoint, "-etcd-prefix", prefix],
      ...["-subnet-file", subnetFile, "-iface", "eth0"],
    ],
    isReady: (said) => said.includes("Running backend."),
  },
};

function vxlan({ rtnl, address }, mac) {
  return {
    name: "flannel.1",
    address: parseMac(mac),
    mtu: 1450,
    isUp: true,
    kind: {
      kind: "vxlan",
      id: 1,
      link: rtnl.link("eth0").index,
      local: parseIp(address),
      port: 8472,
      learning: false,
      udpCsum: false,
    },
  };
}
