// Paths between hosts and pods, measured in turns within one run. All figures are ratios to host → host, which is what
// the machine can do without a pod network.
import { spawnSync } from "node:child_process";
import { median, ratioOfMedians } from "./statistics.mjs";
import { Worker } from "./worker.mjs";

/** @typedef {{ name: string, from: string, to: string, address: string }} Path */

const LIMIT = "host → host";
const IPERF_PORT = 5201;
const PEER = new URL("peer.mjs", import.meta.url).pathname;

export const METRICS = [
  { name: "TCP stream", unit: "Gbit/s", kind: "iperf" },
  { name: "TCP_RR", unit: "/s", kind: "tcp_rr" },
  { name: "UDP_RR", unit: "/s", kind: "udp_rr" },
  { name: "TCP_CRR", unit: "/s", kind: "tcp_crr" },
];

export function requireIperf() {
  const { error } = spawnSync("iperf3", ["--version"]);
  if (error) throw new Error(`Cannot run iperf3 (${error.code}): apt-get install iperf3`);
}

/**
 * @param {import("./lab.mjs").Lab} lab @param {import("./options.mjs").Options} options
 * @param {(text: string) => void} progress @param {AbortSignal} signal
 */
export async function measureDatapath(lab, options, progress, signal) {
  const paths = lab.paths();
  const peers = new Peers(lab, options.twoCpus ? 1 : 0);
  const stop = () => peers.kill();
  signal.addEventListener("abort", stop);
  try {
    const settings = await peers.start(paths);
    const samples = paths.map(() => METRICS.map(() => []));
    const rounds = options.rounds + 1;
    for (let round = 0; round < rounds; round++) {
      for (const [m, metric] of METRICS.entries()) {
        for (const [p, path] of paths.entries()) {
          signal.throwIfAborted();
          progress(
            `datapath: ${round === 0 ? "warm-up" : `round ${round} of ${options.rounds}`}, ${metric.name}, ${path.name}`,
          );
          const sample = await peers.measure(path, metric.kind, options);
          if (round > 0) samples[p][m].push(sample);
        }
      }
    }
    return { paths: summarise(paths, samples), settings, rounds: options.rounds, twoCpus: options.twoCpus };
  } finally {
    signal.removeEventListener("abort", stop);
    await peers.close();
  }
}

function summarise(paths, samples) {
  const limit = paths.findIndex(({ name }) => name === LIMIT);
  return paths.map(({ name, from, to }, p) => ({
    name,
    from,
    to,
    metrics: METRICS.map((metric, m) => {
      const values = (of, key) => samples[of][m].map((sample) => sample[key]);
      const lost = values(p, "lost").reduce((sum, count) => sum + count, 0);
      return {
        name: metric.name,
        unit: metric.unit,
        ...ratioOfMedians(values(p, "speed"), values(limit, "speed")),
        median: median(values(p, "value")),
        ...(metric.kind === "iperf" ? {} : { p50: median(values(p, "p50")), p99: median(values(p, "p99")), lost }),
        samples: samples[p][m],
      };
    }),
  }));
}

/** The processes at the paths' ends: a client and a server in each place that needs one. */
class Peers {
  #lab;
  #serverCpu;
  #workers = new Map();

  constructor(lab, serverCpu) {
    this.#lab = lab;
    this.#serverCpu = serverCpu;
  }

  async start(paths) {
    for (const { from, to } of paths) {
      this.#worker("client", from, 0);
      this.#worker("server", to, this.#serverCpu);
    }
    const answers = await Promise.all([...this.#workers.values()].map((worker) => worker.ask({ do: "settings" })));
    const algorithms = [...new Set(answers.map(({ congestionControl }) => congestionControl))];
    return { congestionControl: algorithms, callMicroseconds: Math.min(...answers.map((a) => a.callMicroseconds)) };
  }

  #worker(role, place, cpu) {
    const key = `${role} in ${place}`;
    const known = this.#workers.get(key);
    if (known) return known;
    const worker = new Worker(
      `the benchmark's ${key}`,
      this.#lab.inNetworkOf(place, [process.execPath, PEER, String(cpu)]),
    );
    this.#workers.set(key, worker);
    return worker;
  }

  /** @param {Path} path */
  async measure({ from, to, address }, kind, { milliseconds, streamSeconds }) {
    const client = this.#worker("client", from, 0);
    const server = this.#worker("server", to, this.#serverCpu);
    const isStream = kind === "iperf";
    const { port } = await server.ask(isStream ? { do: "serve-iperf", port: IPERF_PORT } : { do: "serve", mode: kind });
    const played = await client.ask(
      isStream
        ? { do: "play-iperf", host: address, port, seconds: streamSeconds }
        : { do: "play", mode: kind, host: address, port, milliseconds },
    );
    await server.answer();
    if (isStream) {
      const value = played.bitsPerSecond / 1e9;
      return { value, speed: value, retransmits: played.retransmits, lost: 0 };
    }
    // Compared is the usual transaction: a few that another process delayed by milliseconds change the number of
    // transactions a second, and tell nothing of the path.
    const { perSecond, p50, p99, lost } = played;
    return { value: perSecond, speed: 1e6 / p50, p50, p99, lost };
  }

  kill() {
    for (const worker of this.#workers.values()) worker.kill();
  }

  async close() {
    await Promise.all([...this.#workers.values()].map((worker) => worker.close()));
  }
}
