// CNI calls end to end: execute our client in a node, as a runtime does, until its reply is there; beside the reference
// plugins, which do the same work in another node of the same lab, call by call in turns.
import { existsSync } from "node:fs";
import { median, quantile, ratioOfMedians } from "./statistics.mjs";
import { Worker } from "./worker.mjs";

const CALLER = new URL("cni-caller.mjs", import.meta.url).pathname;
const OUR_PLUGINS = "/opt/cni/bin";
/** ADDs before the first DEL: how many pods a node has at the most in this run. */
const PODS = 20;

export const AIM = { addMilliseconds: 3, shareOfReference: 1 / 5 };

/** @param {string} reference the folder */
export function requireReference(reference) {
  if (!existsSync(`${reference}/bridge`))
    throw new Error(`Cannot find the reference plugins in ${reference}: apt-get install containernetworking-plugins`);
}

/**
 * @param {import("./lab.mjs").Lab} lab @param {import("./options.mjs").Options} options
 * @param {(text: string) => void} progress @param {AbortSignal} signal
 */
export async function measureCni(lab, { calls, reference }, progress, signal) {
  const nodes = lab.cniNodes();
  const ours = new Chain("podpath", nodes.ours, lab, OUR_PLUGINS);
  const theirs = new Chain("reference", nodes.reference, lab, reference);
  const stop = () => {
    ours.kill();
    theirs.kill();
  };
  signal.addEventListener("abort", stop);
  try {
    progress("cni: making the pods' namespaces");
    await ours.prepare();
    await theirs.prepare();
    const rounds = Math.ceil(calls / PODS);
    // The first round is the warm-up: caches, JIT compilation, the plugins' files.
    for (let round = 0; round <= rounds; round++) {
      progress(`cni: ${round === 0 ? "warm-up" : `${round * PODS} of ${rounds * PODS} pods`}`);
      for (const step of ["floor", "version", "add", "delete"])
        for (let pod = 0; pod < PODS; pod++) {
          signal.throwIfAborted();
          // Who is first changes, so that neither always finds the other's leavings in the caches.
          for (const chain of pod % 2 === 0 ? [ours, theirs] : [theirs, ours]) await chain[step](pod, round > 0);
        }
    }
    return summarise(ours, theirs);
  } finally {
    signal.removeEventListener("abort", stop);
    await Promise.all([ours.close(), theirs.close()]);
  }
}

function summarise(ours, theirs) {
  const calls = Object.fromEntries(
    ["floor", "VERSION", "ADD", "DEL"].map((name) => {
      const [our, their] = [ours.samples[name], theirs.samples[name]];
      const figures = (samples) => ({ p50: median(samples), p99: quantile(samples, 0.99), samples });
      return [name, { ours: figures(our), reference: figures(their), ...ratioOfMedians(our, their) }];
    }),
  );
  return { count: ours.samples.ADD.length, calls, ours: ours.describe(), reference: theirs.describe() };
}

/** One node's plugins: the process that executes them, and what they took. */
class Chain {
  samples = { floor: [], VERSION: [], ADD: [], DEL: [] };
  #name;
  #worker;
  #pluginDir;
  #node;
  #plugin = "flannel";
  #conf = {};
  #bytes = 0;
  #results = new Map();

  constructor(name, node, lab, pluginDir) {
    this.#name = name;
    this.#node = node;
    this.#pluginDir = pluginDir;
    this.#worker = new Worker(`the benchmark's runtime in ${node}`, lab.inNode(node, [process.execPath, CALLER]));
  }

  async prepare() {
    // One pod more, which stays: a bridge that loses its last port also loses its MAC.
    const node = await this.#worker.ask({ do: "prepare", pods: PODS + 1, pluginDir: this.#pluginDir });
    const {
      plugins: [flannel],
      ...list
    } = node.conflist;
    const conf = { cniVersion: list.cniVersion, name: list.name, ...flannel };
    const has = (name) => node.plugins.find((plugin) => plugin.name === name);
    this.#plugin = has("flannel") ? "flannel" : "bridge";
    this.#conf = this.#plugin === "flannel" ? conf : delegated(conf, node.subnetEnv);
    this.#bytes = has(this.#plugin)?.bytes ?? 0;
    await this.#call("ADD", PODS);
  }

  describe() {
    const chain = this.#plugin === "flannel" ? "flannel → bridge → host-local" : "bridge → host-local";
    return {
      name: this.#name,
      node: this.#node,
      chain,
      pluginDir: this.#pluginDir,
      plugin: this.#plugin,
      bytes: this.#bytes,
    };
  }

  async floor(_pod, counts) {
    this.#note("floor", await this.#worker.ask({ do: "floor" }), counts);
  }

  async version(pod, counts) {
    this.#note("VERSION", await this.#call("VERSION", pod), counts);
  }

  async add(pod, counts) {
    const answer = await this.#call("ADD", pod);
    if (!answer.result?.ips?.[0]?.address)
      throw new Error(`${this.#name}: ADD gave no address: ${JSON.stringify(answer)}`);
    this.#results.set(pod, answer.result);
    this.#note("ADD", answer, counts);
  }

  async delete(pod, counts) {
    this.#note("DEL", await this.#call("DEL", pod, { prevResult: this.#results.get(pod) }), counts);
    await this.#worker.ask({ do: "settle", pod });
  }

  kill() {
    this.#worker.kill();
  }

  async close() {
    await this.#worker.close();
  }

  #call(command, pod, more = {}) {
    const conf = { ...this.#conf, ...more };
    return this.#worker.ask({ do: "call", command, pod, plugin: this.#plugin, pluginDir: this.#pluginDir, conf });
  }

  #note(name, { milliseconds }, counts) {
    if (counts) this.samples[name].push(milliseconds);
  }
}

/** What Flannel's plugin hands to the bridge plugin. @param {object} conf its own configuration @param {string} subnetEnv */
export function delegated({ cniVersion, name, delegate = {} }, subnetEnv) {
  const env = Object.fromEntries(
    subnetEnv
      .trim()
      .split("\n")
      .map((line) => line.split("=")),
  );
  return {
    type: "bridge",
    mtu: Number(env.FLANNEL_MTU),
    ipMasq: env.FLANNEL_IPMASQ !== "true",
    isGateway: true,
    ...delegate,
    cniVersion,
    name,
    ipam: {
      type: "host-local",
      ranges: [[{ subnet: networkOf(env.FLANNEL_SUBNET) }]],
      routes: [{ dst: env.FLANNEL_NETWORK }],
    },
  };
}

/** 10.244.1.1/24 -> 10.244.1.0/24: subnet.env has the bridge's address, host-local wants the network's. */
function networkOf(text) {
  const [address, length] = text.split("/");
  const bits = 32 - Number(length);
  const number = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const network = Math.floor(number / 2 ** bits) * 2 ** bits;
  return `${[24, 16, 8, 0].map((shift) => Math.floor(network / 2 ** shift) % 256).join(".")}/${length}`;
}
