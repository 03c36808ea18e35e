// The udp benchmark as text.
import { UDP_AIM, UDP_METRICS } from "./udp.mjs";

const [NAME_WIDTH, WIDTH] = [16, 22];

/** @param {Awaited<ReturnType<typeof import("./udp.mjs").measureUdp>>} result */
export function udpText({ paths, rounds, missing }) {
  const row = (name, cells) => `  ${name.padEnd(NAME_WIDTH)}${cells.map((c) => c.padEnd(WIDTH)).join("")}`.trimEnd();
  const names = UDP_METRICS.map(({ name }) => name);
  const table = (title, cell) => [row(title, names), ...paths.map(({ name, metrics }) => row(name, metrics.map(cell)))];
  const ratio = ({ ratio: r, low, high }) =>
    low === 1 && high === 1 ? "1" : `${r.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`;
  const ours = paths.find(({ name }) => name === "podpath udp").metrics[0];
  return [
    `udp: ${rounds} rounds, every path and metric in turns, client on CPU 0 and server on CPU 1, forwarders on both, reno`,
    "",
    ...(missing ? [] : [...table("to Flannel's", ({ toFlannel }) => ratio(toFlannel)), ""]),
    ...table("to host → host", ({ toHost }) => ratio(toHost)),
    "",
    ...table("median", ({ median, unit }) => `${median.toFixed(median < 100 ? 2 : 0)} ${unit}`),
    "",
    missing
      ? `  Flannel's daemon is not there to compare with: ${missing}`
      : `  Aim: a TCP stream at least ${UDP_AIM} times Flannel's: ${ours.toFlannel.ratio.toFixed(2)}, ${ours.toFlannel.ratio >= UDP_AIM ? "met" : "MISSED"}.`,
    "  More is better; in brackets the 95 % bootstrap interval. UDP: received, of as many as one sender can send.",
  ].join("\n");
}
