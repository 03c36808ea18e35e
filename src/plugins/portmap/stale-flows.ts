import { familyOf } from "../../formats/netip/index.ts";
import type { ConntrackEntry } from "../../formats/netlink/index.ts";
import { Conntrack, isUnsupported } from "../../kernel/index.ts";
import type { Call } from "../plugin.ts";
import { type PortMapping, PROTOCOLS } from "./conf.ts";
import { isUnspecified } from "./pod-addresses.ts";

/**
 * Forgets the UDP flows to the mapped ports: a sender that never pauses would keep its connection tracking entry, and
 * with it yesterday's destination. After ADD as well as after DEL. Only flows to this host itself: others that happen
 * to have the port are none of ours.
 */
export function forgetStaleFlows({ host, log }: Pick<Call, "host" | "log">, mappings: readonly PortMapping[]): void {
  const udp = mappings.filter(({ protocol }) => protocol === "udp");
  if (udp.length === 0) return;
  try {
    const own = new Set(host.rtnl.addresses().map(({ prefix }) => prefix.address));
    const isStale = ({ original }: ConntrackEntry): boolean =>
      original.protocol === PROTOCOLS.udp &&
      own.has(original.destination) &&
      udp.some(
        ({ hostPort, hostIp }) =>
          hostPort === original.destinationPort &&
          (hostIp === undefined ||
            hostIp === original.destination ||
            (isUnspecified(hostIp) && familyOf(hostIp) === familyOf(original.destination))),
      );
    using conntrack = Conntrack.open();
    for (const family of [4, 6] as const) for (const entry of conntrack.list(family, isStale)) conntrack.delete(entry);
  } catch (e) {
    // The flows end by themselves half a minute after their last packet: no reason to fail.
    if (!isUnsupported(e)) log(`portmap: cannot forget stale UDP flows: ${e instanceof Error ? e.message : String(e)}`);
  }
}
