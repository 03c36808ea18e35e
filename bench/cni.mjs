// CNI calls end to end: execute our client in a node, as a runtime does, until its reply is there; beside the reference
// plugins, which do the same work in another node of the same lab, in turns.
import { existsSync } from "node:fs";
import { CHAINS, largeNetwork, typesOf, withoutFlannel } from "./cni-chains.mjs";
import { median, quantile, ratioOfMedians } from "./statistics.mjs";
import { Worker } from "./worker.mjs";

const CALLER = new URL("cni-caller.mjs", import.meta.url).pathname;
const OUR_PLUGINS = "/opt/cni/bin";
/** ADDs before the first DEL, and how many are at work at the same time in the parallel rounds. */
const PODS = 20;
const BURST_PODS = 200;
const LARGE_PODS = 1000;
/** A pod that is there from the start to the end: a bridge that loses its last port also loses its MAC. */
const RESIDENT = 0;

export const AIM = { addMilliseconds: 2, delMilliseconds: 3, shareOfReference: 1 / 5, timesFasterTogether: 10 };

/** @param {string} reference the folder */
export function requireReference(reference) {
  if (!existsSync(`${reference}/bridge`))
    throw new Error(`Cannot find the reference plugins in ${reference}: apt-get install containernetworking-plugins`);
}

/**
 * @param {import("./lab.mjs").Lab} lab @param {import("./options.mjs").Options} options
 * @param {(text: string) => void} progress @param {AbortSignal} signal
 */
export async function measureCni(lab, { calls, reference, quick }, progress, signal) {
  const nodes = lab.cniNodes();
  const ours = new Side("podpath", nodes.ours, lab, OUR_PLUGINS);
  const theirs = new Side("reference", nodes.reference, lab, reference);
  const both = { ours, theirs, signal };
  const stop = () => {
    ours.kill();
    theirs.kill();
  };
  signal.addEventListener("abort", stop);
  try {
    progress("cni: making the pods' namespaces");
    await ours.prepare(1 + (quick ? PODS : BURST_PODS));
    await theirs.prepare(1 + (quick ? PODS : BURST_PODS));
    const chains = [];
    const missing = [];
    for (const [index, chain] of CHAINS.entries()) {
      const lacking = [ours.lacks(chain), theirs.lacks(chain)];
      if (lacking.some((types) => types.length > 0))
        missing.push({ name: chain.name, ours: lacking[0], reference: lacking[1] });
      else {
        await ours.reside(chain);
        await theirs.reside(chain);
        const size = index === 0 ? calls : Math.ceil(calls / 2);
        chains.push(await measureChain(chain, Math.ceil(size / PODS), both, progress));
      }
    }
    const main = CHAINS[0];
    const burst = quick ? undefined : await measureBurst(main, both, progress);
    const large = quick ? undefined : await measureLarge(both, progress);
    const leaks = { ours: await ours.leaks(), reference: await theirs.leaks() };
    return { chains, missing, burst, large, leaks, ours: ours.describe(), reference: theirs.describe() };
  } finally {
    signal.removeEventListener("abort", stop);
    await Promise.all([ours.close(), theirs.close()]);
  }
}

async function measureChain(chain, rounds, { ours, theirs, signal }, progress) {
  const sides = [ours, theirs];
  for (const side of sides) side.begin(chain);
  // The first round is the warm-up: caches, JIT compilation, the plugins' files.
  for (let round = 0; round <= rounds; round++) {
    progress(`cni: ${chain.name}, ${round === 0 ? "warm-up" : `${round * PODS} of ${rounds * PODS} pods`}`);
    for (const step of ["floor", "version", "add", "delete"])
      for (let pod = 1; pod <= PODS; pod++) {
        signal.throwIfAborted();
        // Who is first changes, so that neither always finds the other's leavings in the caches.
        for (const side of pod % 2 === 0 ? sides : [theirs, ours]) await side[step](pod, round > 0);
      }
    for (const side of round % 2 === 0 ? sides : [theirs, ours]) {
      await side.floorTogether(PODS, round > 0);
      for (const command of ["ADD", "DEL"]) {
        signal.throwIfAborted();
        await side.together(command, PODS, PODS, round > 0);
      }
    }
  }
  return {
    name: chain.name,
    reference: theirs.chainText(),
    count: ours.samples.ADD.length,
    failures: { ours: ours.failures, reference: theirs.failures },
    calls: compare(ours.samples, theirs.samples, ["floor", "VERSION", "ADD", "DEL"]),
    together: compare(ours.samples, theirs.samples, ["ADD together", "DEL together", "floor together"]),
    each: compare(ours.samples, theirs.samples, ["ADD each", "DEL each"]),
  };
}

/** All at once, as a node gets them that was drained or has come up. */
async function measureBurst(chain, { ours, theirs, signal }, progress) {
  progress(`cni: ${BURST_PODS} pods at once`);
  for (const side of [ours, theirs]) side.begin(chain);
  for (const side of [ours, theirs, theirs, ours, ours, theirs])
    for (const command of ["ADD", "DEL"]) {
      signal.throwIfAborted();
      await side.together(command, BURST_PODS, BURST_PODS, true);
    }
  const names = ["ADD together", "DEL together"];
  const failures = { ours: ours.failures, reference: theirs.failures };
  return { pods: BURST_PODS, failures, ...compare(ours.samples, theirs.samples, names) };
}

/** As many pods as a bridge has ports for, nearly. Ours alone: the reference would take a minute to take them away. */
async function measureLarge({ ours, signal }, progress) {
  progress(`cni: ${LARGE_PODS} pods on one node`);
  await ours.prepare(1 + LARGE_PODS);
  const before = await ours.memory();
  ours.begin({ name: "large", plugins: (node) => [largeNetwork(node)] });
  await ours.together("ADD", LARGE_PODS, PODS, true);
  const after = await ours.memory();
  signal.throwIfAborted();
  await ours.together("DEL", LARGE_PODS, PODS, true);
  const idle = await ours.memory();
  const figures = (name) => ({ p50: median(ours.samples[name]), p99: quantile(ours.samples[name], 0.99) });
  return {
    pods: LARGE_PODS,
    seconds: { add: ours.samples["ADD together"][0] / 1000, del: ours.samples["DEL together"][0] / 1000 },
    add: figures("ADD each"),
    del: figures("DEL each"),
    rssMebibytes: { before, after, idle },
    failures: ours.failures,
  };
}

function compare(ours, theirs, names) {
  const figures = (samples) => ({ p50: median(samples), p99: quantile(samples, 0.99), samples });
  return Object.fromEntries(
    names.map((name) => {
      const [our, their] = [ours[name], theirs[name]];
      return [name, { ours: figures(our), reference: figures(their), ...ratioOfMedians(our, their) }];
    }),
  );
}

/** One node's plugins: the process that executes them, and what they took. */
class Side {
  samples = {};
  failures = [];
  #name;
  #worker;
  #pluginDir;
  #nodeName;
  #node;
  #plugins = [];
  #chain;
  #resident;
  #before;

  constructor(name, node, lab, pluginDir) {
    this.#name = name;
    this.#nodeName = node;
    this.#pluginDir = pluginDir;
    this.#worker = new Worker(`the benchmark's runtime in ${node}`, lab.inNode(node, [process.execPath, CALLER]));
  }

  async prepare(pods) {
    const { plugins, subnetEnv, conflist } = await this.#worker.ask({
      do: "prepare",
      pods,
      pluginDir: this.#pluginDir,
    });
    this.#plugins = plugins;
    const flannel = conflist.plugins.find(({ type }) => type === "flannel");
    this.#node = {
      flannel: { cniVersion: conflist.cniVersion, name: conflist.name, ...flannel },
      subnetEnv,
      has: (type) => plugins.some(({ name }) => name === type),
    };
    this.#before ??= await this.#worker.ask({ do: "census" });
  }

  /** The plugins of the chain that are not in this side's folder. */
  lacks(chain) {
    return typesOf(this.#confs(chain, 1)).filter((type) => !this.#node.has(type));
  }

  /** Exchanges the resident pod for one of this chain. */
  async reside(chain) {
    await this.#leave();
    this.#resident = chain;
    await this.#call("ADD", RESIDENT, chain);
  }

  begin(chain) {
    this.#chain = chain;
    this.samples = {};
    this.failures = [];
  }

  chainText() {
    return this.#confs(this.#chain, 1)
      .map(({ type, ipam }) => (ipam?.type ? `${type} + ${ipam.type}` : type))
      .join(" → ");
  }

  describe() {
    const bytes = this.#plugins.find(({ name }) => name === "bridge")?.bytes ?? 0;
    return {
      name: this.#name,
      node: this.#nodeName,
      pluginDir: this.#pluginDir,
      bytes,
      flannel: this.#node.has("flannel"),
    };
  }

  async floor(_pod, counts) {
    this.#note("floor", (await this.#worker.ask({ do: "floor" })).milliseconds, counts);
  }

  async floorTogether(count, counts) {
    const { milliseconds } = await this.#worker.ask({ do: "floorTogether", count, atOnce: count });
    this.#note("floor together", milliseconds, counts);
  }

  async version(_pod, counts) {
    const [{ type }] = this.#confs(this.#chain, 1);
    const { milliseconds } = await this.#worker.ask({ do: "version", pluginDir: this.#pluginDir, type });
    this.#note("VERSION", milliseconds, counts);
  }

  async add(pod, counts) {
    this.#note("ADD", (await this.#call("ADD", pod)).milliseconds, counts);
  }

  async delete(pod, counts) {
    this.#note("DEL", (await this.#call("DEL", pod)).milliseconds, counts);
    await this.#worker.ask({ do: "settle", pods: [pod] });
  }

  /** `count` pods, `atOnce` of them at the same time. */
  async together(command, count, atOnce, counts) {
    const numbers = Array.from({ length: count }, (_, i) => i + 1);
    const pods = numbers.map((pod) => ({ pod, confs: this.#confs(this.#chain, pod) }));
    const question = { do: "together", command, pluginDir: this.#pluginDir, pods, atOnce };
    const { milliseconds, each, failures } = await this.#worker.ask(question);
    if (command === "DEL") await this.#worker.ask({ do: "settle", pods: numbers });
    this.failures.push(...failures);
    this.#note(`${command} together`, milliseconds, counts);
    for (const sample of each) this.#note(`${command} each`, sample, counts);
  }

  /** MiB */
  async memory() {
    return (await this.#worker.ask({ do: "agentMemory" })).kibibytes / 1024;
  }

  /** What is there that was not before the first ADD. */
  async leaks() {
    await this.#leave();
    const after = await this.#worker.ask({ do: "census" });
    return Object.fromEntries(Object.entries(after).map(([what, number]) => [what, number - this.#before[what]]));
  }

  kill() {
    this.#worker.kill();
  }

  async close() {
    await this.#worker.close();
  }

  async #leave() {
    if (!this.#resident) return;
    await this.#call("DEL", RESIDENT, this.#resident);
    await this.#worker.ask({ do: "settle", pods: [RESIDENT] });
    this.#resident = undefined;
  }

  #confs(chain, pod) {
    return withoutFlannel(chain.plugins(this.#node, pod), this.#node);
  }

  #call(command, pod, chain = this.#chain) {
    const confs = this.#confs(chain, pod);
    return this.#worker.ask({ do: "call", command, pod, pluginDir: this.#pluginDir, confs });
  }

  #note(name, sample, counts) {
    this.samples[name] ??= [];
    if (counts) this.samples[name].push(sample);
  }
}
