// Settings of each network namespace, written by the script that makes it.
import type { NodeRole } from "./topology.ts";

type Sysctls = Readonly<Record<string, string>>;

/** What every namespace gets, so that the lab behaves the same on every machine. */
const EVERYWHERE: Sysctls = {
  // A machine's default may be BBR, which paces and so hides what the path itself can do.
  "net/ipv4/tcp_congestion_control": "reno",
  // Distributions differ (0, 1, 2); new namespaces inherit the machine's.
  "net/ipv4/conf/all/rp_filter": "0",
  "net/ipv4/conf/default/rp_filter": "0",
};

const ROUTER: Sysctls = { "net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1" };

/** As container runtimes do: ping without privilege. */
export const POD_SYSCTLS: Sysctls = { ...EVERYWHERE, "net/ipv4/ping_group_range": "0 0" };

/** The fabric is a switch: what passes it is none of netfilter's business. */
export const FABRIC_SYSCTLS: Sysctls = {
  ...EVERYWHERE,
  "net/bridge/bridge-nf-call-iptables": "0",
  "net/bridge/bridge-nf-call-ip6tables": "0",
};

export function nodeSysctls(role: NodeRole): Sysctls {
  return role === "node" || role === "gateway" ? { ...EVERYWHERE, ...ROUTER } : EVERYWHERE;
}

/** Shell lines; a kernel that lacks a setting has nothing to set. */
export function sysctlScript(sysctls: Sysctls): string {
  return Object.entries(sysctls)
    .map(([name, value]) => `{ echo '${value}' >/proc/sys/${name}; } 2>/dev/null || :`)
    .join("\n");
}
