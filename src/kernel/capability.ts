import { readFileSync } from "node:fs";

/** include/uapi/linux/capability.h */
const CAPABILITIES = { CAP_NET_ADMIN: 12n, CAP_SYS_ADMIN: 21n } as const;

export type Capability = keyof typeof CAPABILITIES;

/** Whether this process may use `capability` now. @param status a text as /proc/PID/status has it */
export function hasCapability(
  capability: Capability,
  status: string = readFileSync("/proc/self/status", "utf8"),
): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0";
  return ((BigInt(`0x${effective}`) >> CAPABILITIES[capability]) & 1n) === 1n;
}
