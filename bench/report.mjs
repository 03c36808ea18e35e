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

/**
 * @param {Awaited<ReturnType<typeof import("./cni.mjs").measureCni>>} result
 * @param {typeof import("./cni.mjs").AIM} aim
 */
export function cniText({ count, calls, ours, reference }, aim) {
  const labels = { ADD: "ADD", DEL: "DEL", VERSION: "VERSION (no kernel work)", floor: "/bin/true (the floor)" };
  const figure = ({ p50, p99 }) => `${p50.toFixed(2)} (${p99.toFixed(2)})`;
  const row = (name, ...cells) =>
    `  ${name.padEnd(NAME_WIDTH)}${cells.map((cell) => cell.padEnd(WIDTH)).join("")}`.trimEnd();
  const { ADD } = calls;
  return [
    `cni: ${count} calls each, one after the other, podpath and reference in turns; ms of wall time, p50 (p99)`,
    "",
    row("", "podpath / reference", "podpath", "reference"),
    ...Object.entries(labels).map(([name, label]) => {
      const call = calls[name];
      const ratio = `${call.ratio.toFixed(2)} [${call.low.toFixed(2)}, ${call.high.toFixed(2)}]`;
      return row(label, ratio, figure(call.ours), figure(call.reference));
    }),
    "",
    `  Aims: ADD at most ${aim.addMilliseconds} ms: ${verdict(ADD.ours.p50, aim.addMilliseconds)}; at most ${aim.shareOfReference} of the reference: ${verdict(ADD.ratio, aim.shareOfReference)}.`,
    `  podpath: ${ours.chain}; the client, ${ours.bytes} bytes, asks the agent of ${ours.node}.`,
    `  reference: ${reference.chain} of ${reference.pluginDir}, in ${reference.node}.`,
    ...(reference.plugin === "flannel" ? [] : withoutFlannel(calls, reference)),
    "  Every figure includes starting the process, by posix_spawn from the same small harness; /bin/true is that alone.",
    "  DEL: until the reply; podpath may take devices away after it, which is waited for between the calls.",
  ].join("\n");
}

function verdict(value, limit) {
  return `${value.toFixed(2)}, ${value <= limit ? "met" : "MISSED"}`;
}

function withoutFlannel({ ADD, VERSION }, { pluginDir }) {
  const chain = ADD.reference.p50 + VERSION.reference.p50;
  return [
    `  There is no flannel in ${pluginDir}: bridge gets what it would delegate, which spares the reference one Go program.`,
    `  With it (VERSION is the cost of one that does nothing) about ${chain.toFixed(1)} ms, of which podpath's ADD is ${(ADD.ours.p50 / chain).toFixed(2)}.`,
  ];
}

/** @param {ReturnType<typeof import("./machine.mjs").describeMachine>} machine @param {number} steal */
export function machineText(machine, steal) {
  return [
    `${machine.date} UTC, Linux ${machine.kernel}, ${machine.cpus} × ${machine.cpuModel}, Node ${machine.node}`,
    `load before the run ${machine.load.toFixed(2)}, stolen by the hypervisor ${(steal * 100).toFixed(1)} %${machine.load > 0.5 ? "  (others were busy here: the intervals show how much it matters)" : ""}`,
    "Figures of different runs must not be compared; ratios may, with care.",
  ].join("\n");
}
