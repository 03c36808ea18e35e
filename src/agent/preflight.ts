import type { IpFamily } from "../formats/netip/index.ts";
import { hasCapability, readSysctl, writeSysctl } from "../kernel/index.ts";
import { AgentError } from "./errors.ts";

export const FORWARDING: Readonly<Record<IpFamily, string>> = {
  4: "net/ipv4/ip_forward",
  6: "net/ipv6/conf/all/forwarding",
} as const;

/** @throws {AgentError} when this process may not configure the network */
export function requireNetAdmin(status?: string): void {
  if (hasCapability("CAP_NET_ADMIN", status)) return;
  throw new AgentError(
    "Cannot configure this node's network: the process lacks CAP_NET_ADMIN; run it as root, or grant the capability " +
      "(AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW in a systemd unit, securityContext.capabilities in Kubernetes)",
  );
}

/**
 * Lets the kernel forward packets, without which no pod reaches anything. Returns the undo, if it changed something.
 * @throws {AgentError}
 */
export function ensureForwarding(family: IpFamily, device: string): (() => void) | undefined {
  const name = FORWARDING[family];
  const before = readSysctl(name);
  if (before === "1") return undefined;
  try {
    if (family === 6) keepAcceptingRouters(device);
    writeSysctl(name, 1);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const setting = name.replaceAll("/", ".");
    throw new AgentError(
      `Cannot turn on packet forwarding (${setting}): ${why}; set it yourself: sysctl -w ${setting}=1`,
      {
        cause: error,
      },
    );
  }
  return before === undefined ? undefined : () => writeSysctl(name, before);
}

/** A router does not listen to other routers by default, so the node would lose the default route it learnt: 2 is "even so". */
function keepAcceptingRouters(device: string): void {
  const name = `net/ipv6/conf/${device}/accept_ra`;
  if (readSysctl(name) === "1") writeSysctl(name, 2);
}
