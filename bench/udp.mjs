// The udp backend, where our own code carries each packet, beside Flannel's, kernel VXLAN and no tunnel at all: two nodes
// on one bridge for each of them, measured in turns.

import { TestCluster } from "../dist/agent/testing/cluster.js";
import { startFlanneld, whyNoFlanneld } from "../dist/agent/testing/flanneld.js";
import { writeSysctl } from "../dist/kernel/index.js";
import { median, ratioOfMedians } from "./statistics.mjs";
import { Worker } from "./worker.mjs";

const PEER = new URL("peer.mjs", import.meta.url).pathname;
const IPERF_PORT = 5201;
const SMALL_BYTES = 64;
const OURS = "podpath udp";
const FLANNELS = "Flannel udp";

/** One TCP stream at least so many times as fast as Flannel's. */
export const UDP_AIM = 5;

export const UDP_METRICS = [
  { name: "TCP stream", unit: "Gbit/s", kind: "iperf" },
  { name: "TCP_RR", unit: "/s", kind: "tcp_rr" },
  { name: `UDP ${SMALL_BYTES} bytes`, unit: "kpps", kind: "iperf-udp" },
];

/** @param {import("./options.mjs").Options} options @param {(text: string) => void} progress @param {AbortSignal} signal */
export async function measureUdp(options, progress, signal) {
  const missing = whyNoFlanneld();
  const kinds = ["udp", "vxlan", ...(missing ? [] : ["flannel"])];
  const pairs = [];
  const stop = () => {
    for (const pair of pairs) pair.kill();
  };
  signal.addEventListener("abort", stop);
  try {
    for (const kind of kinds) {
      progress(`starting two nodes with ${kind}`);
      signal.throwIfAborted();
      pairs.push(await Pair.start(kind));
    }
    const [udp, vxlan, flannel] = pairs;
    const paths = [
      { name: "host → host", pair: udp, address: udp.hostAddress },
      { name: "kernel VXLAN", pair: vxlan, address: vxlan.address },
      { name: OURS, pair: udp, address: udp.address },
      ...(flannel ? [{ name: FLANNELS, pair: flannel, address: flannel.address }] : []),
    ];
    const samples = paths.map(() => UDP_METRICS.map(() => []));
    for (let round = 0; round <= options.rounds; round++)
      for (const [m, { kind, name }] of UDP_METRICS.entries())
        for (const [p, path] of paths.entries()) {
          signal.throwIfAborted();
          progress(`udp: ${round === 0 ? "warm-up" : `round ${round} of ${options.rounds}`}, ${name}, ${path.name}`);
          const value = await path.pair.measure(path.address, kind, options);
          if (round > 0) samples[p][m].push(value);
        }
    return { paths: summarise(paths, samples), rounds: options.rounds, ...(missing && { missing }) };
  } finally {
    signal.removeEventListener("abort", stop);
    for (const pair of pairs) await pair.close();
  }
}

function summarise(paths, samples) {
  const reference = paths.findIndex(({ name }) => name === FLANNELS);
  return paths.map(({ name }, p) => ({
    name,
    metrics: UDP_METRICS.map(({ name: metric, unit }, m) => ({
      name: metric,
      unit,
      median: median(samples[p][m]),
      ...(reference >= 0 && { toFlannel: ratioOfMedians(samples[p][m], samples[reference][m]) }),
      toHost: ratioOfMedians(samples[p][m], samples[0][m]),
      samples: samples[p][m],
    })),
  }));
}

/** Two nodes of one cluster, a client in the first and a server in the second, on a CPU each. */
class Pair {
  #cluster;
  #client;
  #server;
  hostAddress;
  address;

  constructor(cluster, nodes, address) {
    this.#cluster = cluster;
    const [one, two] = nodes;
    const peerIn = (node, cpu) =>
      new Worker(`the benchmark's peer in ${node.name}`, [
        ...["nsenter", `--net=/proc/${process.pid}/fd/${node.ns.fd}`],
        ...[process.execPath, PEER, String(cpu)],
      ]);
    [this.#client, this.#server] = [peerIn(one, 0), peerIn(two, 1)];
    this.hostAddress = two.address;
    this.address = address;
  }

  static async start(kind) {
    const Type = kind === "flannel" ? "udp" : kind;
    const cluster = await TestCluster.start({ Network: "10.244.0.0/16", Backend: { Type } });
    try {
      const nodes = [cluster.addNode(1), cluster.addNode(2)];
      // BBR is paced, and would measure that.
      for (const { ns } of nodes) writeSysctl("net/ipv4/tcp_congestion_control", "reno", ns);
      const daemons = nodes.map((node) => (kind === "flannel" ? startFlanneld : startOurs)(cluster, node));
      await Promise.all(daemons.map(({ ready }) => ready));
      const device = Type === "udp" ? "flannel0" : "flannel.1";
      const [one, two] = nodes;
      let address;
      await two.until("an address of the tunnel", () => {
        const index = two.rtnl.link(device)?.index;
        const own = two.rtnl.addresses().filter((a) => a.index === index && !a.prefix.address.includes(":"));
        address = own[0]?.prefix.address;
        return address !== undefined;
      });
      await one.until("a route to the tunnel", () =>
        one.rtnl.routes().some((r) => r.dst && r.protocol !== 2 && r.oif === one.rtnl.link(device)?.index),
      );
      return new Pair(cluster, nodes, address);
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  async measure(address, kind, { milliseconds, streamSeconds }) {
    const isStream = kind.startsWith("iperf");
    const question = isStream ? { do: "serve-iperf", port: IPERF_PORT } : { do: "serve", mode: kind };
    const { port } = await this.#server.ask(question);
    const udpBytes = kind === "iperf-udp" ? SMALL_BYTES : undefined;
    const played = await this.#client.ask(
      isStream
        ? { do: "play-iperf", host: address, port, seconds: streamSeconds, udpBytes }
        : { do: "play", mode: kind, host: address, port, milliseconds },
    );
    await this.#server.answer();
    if (kind === "iperf") return played.bitsPerSecond / 1e9;
    return kind === "iperf-udp" ? played.packetsPerSecond / 1e3 : 1e6 / played.p50;
  }

  kill() {
    this.#client.kill();
    this.#server.kill();
  }

  async close() {
    await Promise.all([this.#client.close(), this.#server.close()]);
    await this.#cluster[Symbol.asyncDispose]();
  }
}

function startOurs(cluster, node) {
  return cluster.startAgent(node);
}
