// One side of a path: runs in a node's or a pod's network namespace, on one CPU, and serves or plays what it is told.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { schedSetaffinity } from "../dist/kernel/sys.js";
import { callOverhead, play, serve } from "./pingpong.mjs";
import { answerLines, say } from "./worker.mjs";

// This thread and what it starts; the other threads (garbage collection) may go elsewhere.
const cpu = Number(process.argv[2]);
if (schedSetaffinity(0, 1, Uint8Array.of(1 << cpu)) < 0) throw new Error(`Cannot run on CPU ${cpu}`);

/** iperf3's server for one client. The port is fixed: each place has its own namespace, or its own number. */
async function serveIperf({ port }) {
  const child = spawn("iperf3", ["--server", "--one-off", "--forceflush", "--port", String(port)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  for await (const data of child.stdout.iterator({ destroyOnReturn: false })) if (/listening/.test(data)) break;
  child.stdout.resume();
  say({ port });
  const timer = setTimeout(() => child.kill(), 15_000);
  await ended;
  clearTimeout(timer);
}

/** @param udpBytes the size of datagrams, sent as fast as they go; undefined: a TCP stream */
function playIperf({ host, port, seconds, udpBytes }) {
  const args = ["--client", host, "--port", String(port), "--time", String(seconds), "--json"];
  if (udpBytes) args.push("--udp", "--bandwidth", "0", "--length", String(udpBytes));
  const { stdout, error } = spawnSync("iperf3", args, { encoding: "utf8", timeout: (seconds + 10) * 1000 });
  if (error) throw new Error(`Cannot run iperf3: ${error.message}`);
  const result = JSON.parse(stdout);
  if (result.error) throw new Error(`iperf3 to ${host}: ${result.error}`);
  if (udpBytes) {
    const { packets, lost_packets, seconds: took } = result.end.sum;
    return { packetsPerSecond: (packets - lost_packets) / took };
  }
  const { sum_received, sum_sent } = result.end;
  return { bitsPerSecond: sum_received.bits_per_second, retransmits: sum_sent.retransmits };
}

await answerLines({
  settings: () => ({
    congestionControl: readFileSync("/proc/sys/net/ipv4/tcp_congestion_control", "utf8").trim(),
    callMicroseconds: callOverhead(),
  }),
  serve: ({ mode }) => serve(mode, (port) => say({ port })),
  play: ({ mode, host, port, milliseconds }) => play(mode, host, port, milliseconds),
  "serve-iperf": serveIperf,
  "play-iperf": playIperf,
});
