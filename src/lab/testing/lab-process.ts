// A process of the lab, by the number that the machine has for it.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { LabInfo } from "../messages.ts";

/** @param pid as the lab counts */
export function machinePid(info: LabInfo, pid: number): number {
  const lab = readlinkSync(`/proc/${info.processes.init.pid}/ns/pid`);
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    try {
      const status = readFileSync(`/proc/${name}/status`, "utf8");
      const inner = /^NSpid:.*\t(\d+)$/m.exec(status)?.[1];
      if (Number(inner) === pid && readlinkSync(`/proc/${name}/ns/pid`) === lab) return Number(name);
    } catch {
      // It has ended meanwhile.
    }
  }
  throw new Error(`the lab has no process ${pid}`);
}
