// Results as text: ratios first, the figures behind them after, then what the reader must know.
import { METRICS } from "./datapath.mjs";

const WIDTH = 24;
const NAME_WIDTH = 26;

/** @param {Awaited<ReturnType<typeof import("./datapath.mjs").measureDatapath>>} result */
export function datapathText({ paths, settings, rounds, twoCpus }) {
  const cpus = twoCpus ? "client on CPU 0, server on CPU 1" : "client and server on CPU 0";
  const row = (name, cells) =>
    `  ${name.padEnd(NAME_WIDTH)}${cells.map((cell) => cell.padEnd(WIDTH)).join("")}`.trimEnd();
  const header = (title) =>
    row(
      title,
      METRICS.map(({ name }) => name),
    );
  const lost = paths.flatMap(({ name, metrics }) => metrics.filter((m) => m.lost > 0).map((m) => `${name}: ${m.lost}`));
  return [
    `datapath: ${rounds} rounds, every path and metric in turns, ${cpus}, congestion control ${settings.congestionControl.join(", ")}`,
    "",
    header("ratio to host → host"),
    ...paths.map(({ name, metrics }) => row(name, metrics.map(ratioText))),
    "",
    header("median"),
    ...paths.map(({ name, metrics }) => row(name, metrics.map(figureText))),
    "",
    "  More is better; in brackets the 95 % bootstrap interval. Streams are compared by throughput, transactions by their p50",
    "  (the µs: half of them took less), because a busy machine changes the number of transactions a second much more.",
    `  Each transaction is four system calls of the ping-pong at about ${settings.callMicroseconds.toFixed(1)} µs of its own each (FFI); loopback has them too.`,
    "  A ratio near 1: the pod network costs nothing there. Host → host is one veth pair and a bridge, without NAT.",
    "  Same-host pods pass the bridge's netfilter hooks (bridge-nf-call-iptables), as on a Kubernetes node.",
    ...(settings.congestionControl.some((name) => name !== "reno")
      ? [
          "  WARNING: not reno everywhere. BBR is paced and, without fq, far too slow: the streams measure that, not the paths.",
        ]
      : []),
    ...(lost.length > 0 ? [`  WARNING: datagrams without an answer (${lost.join(", ")})`] : []),
  ].join("\n");
}

function ratioText({ ratio, low, high }) {
  return low === 1 && high === 1 ? "1 (the limit)" : `${ratio.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`;
}

function figureText({ median, unit, p50 }) {
  if (p50 === undefined) return `${median.toFixed(1)} ${unit}`;
  return `${Math.round(median).toLocaleString("en")}${unit}, ${p50.toFixed(1)} µs`;
}

/** @param {ReturnType<typeof import("./machine.mjs").describeMachine>} machine @param {number} steal */
export function machineText(machine, steal) {
  return [
    `${machine.date} UTC, Linux ${machine.kernel}, ${machine.cpus} × ${machine.cpuModel}, Node ${machine.node}`,
    `load before the run ${machine.load.toFixed(2)}, stolen by the hypervisor ${(steal * 100).toFixed(1)} %${machine.load > 0.5 ? "  (others were busy here: the intervals show how much it matters)" : ""}`,
    "Figures of different runs must not be compared; ratios may, with care.",
  ].join("\n");
}
