// What the figures were taken on: without it they say nothing.
import { readFileSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";

/** @returns {{ kernel: string, cpus: number, cpuModel: string, node: string, date: string, load: number }} */
export function describeMachine() {
  const all = cpus();
  return {
    kernel: release(),
    cpus: all.length,
    cpuModel: all[0]?.model.trim() ?? "unknown",
    node: process.versions.node,
    date: new Date().toISOString().slice(0, 16).replace("T", " "),
    load: loadavg()[0],
  };
}

/** Share of all processors' time that the hypervisor gave to others since the last call of the returned function. */
export function stealMeter() {
  let last = readStat();
  return () => {
    const now = readStat();
    const [total, stolen] = [now.total - last.total, now.stolen - last.stolen];
    last = now;
    return total === 0 ? 0 : stolen / total;
  };
}

function readStat() {
  const times = readFileSync("/proc/stat", "utf8").split("\n", 1)[0].trim().split(/ +/).slice(1, 9).map(Number);
  return { total: times.reduce((sum, time) => sum + time, 0), stolen: times[7] ?? 0 };
}
