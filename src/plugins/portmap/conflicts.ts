import { CNI_ERROR, CniError } from "../../formats/cni/index.ts";
import { familyOf } from "../../formats/netip/index.ts";
import type { Call } from "../plugin.ts";
import { isLive, listRecords } from "../rules/records.ts";
import { type PortMapping, readPortmapConf } from "./conf.ts";
import { isUnspecified } from "./pod-addresses.ts";
import { PORTMAP_RULES } from "./rules.ts";

/**
 * A host port that another container has is refused, while that container lives. The rules of one that is gone without
 * a DEL give way.
 * @throws {CniError} naming the port and who has it
 */
export async function giveWay(call: Call, mappings: readonly PortMapping[]): Promise<void> {
  for (const record of listRecords(call.log)) {
    // A container has its ports in all of its networks.
    if (record.plugin !== PORTMAP_RULES.plugin || record.containerId === call.containerId) continue;
    const theirs = readPortmapConf(record.conf).mappings;
    const taken = mappings.find((mine) => theirs.some((other) => isSamePort(mine, other)));
    if (!taken) continue;
    if (!isLive(record)) {
      await call.host.rules.remove(PORTMAP_RULES, record);
      continue;
    }
    throw new CniError(
      CNI_ERROR.internal,
      `portmap: host port ${taken.hostPort}/${taken.protocol}${taken.hostIp ? ` of ${taken.hostIp}` : ""} is taken by ` +
        `container ${record.containerId} in network ${record.network}: stop it first, or choose another port`,
    );
  }
}

function isSamePort(a: PortMapping, b: PortMapping): boolean {
  return a.hostPort === b.hostPort && a.protocol === b.protocol && haveCommonAddress(a, b);
}

function haveCommonAddress({ hostIp: a }: PortMapping, { hostIp: b }: PortMapping): boolean {
  if (a === undefined || b === undefined || a === b) return true;
  return familyOf(a) === familyOf(b) && (isUnspecified(a) || isUnspecified(b));
}
