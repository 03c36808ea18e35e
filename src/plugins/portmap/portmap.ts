// Host ports: packets to a port of the host go to a port of the container. Chained behind the plugin that makes the
// interface; of a container without host ports it reads nothing and does nothing.
import { CNI_ERROR, CniError, type Result } from "../../formats/cni/index.ts";
import { familyOf } from "../../formats/netip/index.ts";
import { writeSysctl } from "../../kernel/index.ts";
import type { Call, Plugin } from "../plugin.ts";
import { addRules, checkRules, collectRules, idOf, removeRules, requirePrevResult } from "../rules/call-rules.ts";
import { findRecord } from "../rules/records.ts";
import { hasMappings, type PortMapping, readPortmapConf } from "./conf.ts";
import { giveWay } from "./conflicts.ts";
import { isUnspecified, podAddresses } from "./pod-addresses.ts";
import { PORTMAP_RULES } from "./rules.ts";
import { forgetStaleFlows } from "./stale-flows.ts";

export const portmap: Plugin = {
  rules: PORTMAP_RULES.maker,

  async add(call: Call): Promise<Result> {
    const result = requirePrevResult(call, "portmap");
    if (!hasMappings(call.conf)) return result;
    const conf = readPortmapConf(call.conf);
    await giveWay(call, conf.mappings);
    await addRules(call, PORTMAP_RULES, result);
    if (conf.snat && conf.mappings.some(isReachedByLocalhost)) routeLocalhost(call, result);
    forgetStaleFlows(call, conf.mappings);
    return result;
  },

  async del(call: Call): Promise<void> {
    const mappings = knownMappings(call);
    await removeRules(call, PORTMAP_RULES, hasMappings(call.conf));
    forgetStaleFlows(call, mappings);
  },

  async check(call: Call): Promise<void> {
    requirePrevResult(call, "portmap");
    if (!hasMappings(call.conf)) return;
    readPortmapConf(call.conf);
    await checkRules(call, PORTMAP_RULES);
  },

  status(call: Call): void {
    try {
      call.host.rules.nft;
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new CniError(CNI_ERROR.pluginNotAvailable, `portmap: ${why}`, { cause });
    }
  },

  async gc(call: Call): Promise<void> {
    await collectRules(call, PORTMAP_RULES);
  },
};

/** What DEL is told, or else what ADD was. Not worth failing for: the rules are found without. */
function knownMappings(call: Call): readonly PortMapping[] {
  try {
    if (hasMappings(call.conf)) return readPortmapConf(call.conf).mappings;
    const record = findRecord(PORTMAP_RULES.plugin, idOf(call));
    return record ? readPortmapConf(record.conf).mappings : [];
  } catch (e) {
    call.log(e instanceof Error ? e.message : String(e));
    return [];
  }
}

function isReachedByLocalhost({ hostIp }: PortMapping): boolean {
  return hostIp === undefined || hostIp.startsWith("127.") || (familyOf(hostIp) === 4 && isUnspecified(hostIp));
}

/** Without it the kernel drops a packet from 127.0.0.1 that leaves for the pod by the bridge (`martian source`). */
function routeLocalhost(call: Call, result: Result): void {
  const pod = podAddresses({ result, ifName: call.ifName }).find(({ address }) => familyOf(address) === 4);
  const index = pod && call.host.rtnl.routeTo(pod.address)?.oif;
  const link = index === undefined ? undefined : call.host.rtnl.link(index);
  if (link) writeSysctl(`net/ipv4/conf/${link.name}/route_localnet`, 1);
}
