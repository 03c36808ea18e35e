// The lab that is measured: podpath's own, with a name of this process, that ends with this process, however it ends.

import { existsSync, readdirSync } from "node:fs";
import { enterArgv } from "../dist/kernel/index.js";
import { endLab, execArgv, execTarget, findPod, labArgv, launch, stateDir, stateRoot } from "../dist/lab/index.js";

const SUPERVISOR = new URL("../dist/cmd/lab-supervisor.js", import.meta.url).pathname;
const LOOPBACK = "127.0.0.1";

export class Lab {
  #launched;

  constructor(launched) {
    this.#launched = launched;
  }

  /** @param {{ nodes: number }} size @param {(text: string) => void} progress @param {AbortSignal} signal */
  static async up({ nodes }, progress, signal) {
    await removeLeftovers();
    const name = `bench-${process.pid}`;
    const launched = await launch({
      spec: { name, nodes, etcd: false, manifests: [] },
      dir: stateDir(name),
      onProgress: ({ step, ms }) => ms === undefined && progress(`bringing a lab up, ${step}`),
      signal,
      supervisor: SUPERVISOR,
    });
    return new Lab(launched);
  }

  /** The command that runs `argv` in a node, as a runtime there would. */
  inNode(node, argv) {
    const { info } = this.#launched;
    return execArgv(info, execTarget(info, node), argv);
  }

  /** The command that runs `argv` in the network namespace of a node or a pod, and with the machine's files. */
  inNetworkOf(place, argv) {
    const { info } = this.#launched;
    const { pid } = info.nodes.find(({ name }) => name === place) ?? findPod(info, place) ?? {};
    if (pid === undefined) throw new Error(`Cannot find ${place} in the lab`);
    return labArgv(info, enterArgv(pid, ["net"], argv));
  }

  /** @returns {import("./datapath.mjs").Path[]} */
  paths() {
    return [
      { name: "loopback", from: "node1", to: "node1", address: LOOPBACK },
      { name: "host → host", from: "node1", to: "node2", address: this.#address("node2") },
      { name: "pod → pod, same host", from: "pod-a", to: "pod-b", address: this.#address("pod-b") },
      { name: "host → pod, same host", from: "node1", to: "pod-b", address: this.#address("pod-b") },
      { name: "pod → pod, other host", from: "pod-a", to: "pod-c", address: this.#address("pod-c") },
    ];
  }

  /** Two nodes that are alike: one for our plugins, one for the reference's. */
  cniNodes() {
    return { ours: "node3", reference: "node4" };
  }

  async down() {
    await this.#launched.end(() => {});
  }

  #address(place) {
    const { info } = this.#launched;
    const addresses = info.nodes.find(({ name }) => name === place)?.addresses ?? findPod(info, place)?.ips ?? [];
    const [address] = addresses;
    if (address === undefined) throw new Error(`Cannot find an address of ${place} in the lab`);
    return String(address).split("/")[0];
  }
}

/** What a benchmark that was killed left: its lab ended with it, but not the folder with the logs. */
async function removeLeftovers() {
  if (!existsSync(stateRoot())) return;
  for (const name of readdirSync(stateRoot())) {
    const pid = /^bench-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await endLab(name, () => {}).catch(() => {});
  }
}
