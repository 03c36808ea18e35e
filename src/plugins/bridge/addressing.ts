import {
  CNI_ERROR,
  CniError,
  isEmptyDns,
  type NetConf,
  type Result,
  type ResultIp,
  type ResultRoute,
} from "../../formats/cni/index.ts";
import { addToIp, maskPrefix, parsePrefix, prefixFamily } from "../../formats/netip/index.ts";
import type { BridgeConf } from "./conf.ts";

/** The interface every address belongs to: third in the result, after the bridge and the host's end. */
export const POD_INTERFACE = 2;

/** What the pod shall have, from what IPAM gave: gateways, the default routes, the network's own dns. */
export function addressing(conf: BridgeConf, netConf: NetConf, given: Result): Pick<Result, "ips" | "routes" | "dns"> {
  if (given.ips.length === 0) throw new CniError(CNI_ERROR.internal, "IPAM plugin returned missing IP config");
  const ips = given.ips.map((ip): ResultIp => {
    const gateway = ip.gateway ?? (conf.isGateway ? addToIp(maskPrefix(ip.address).address, 1) : undefined);
    return { interface: POD_INTERFACE, address: ip.address, ...(gateway ? { gateway } : {}) };
  });
  return {
    ips,
    routes: conf.isDefaultGateway ? withDefaults(ips, given.routes) : given.routes,
    dns: isEmptyDns(netConf.dns) ? given.dns : netConf.dns,
  };
}

/**
 * One default route a family. IPAM may have given one without a gateway: it gets ours, where the reference adds a
 * second, which the kernel refuses.
 */
function withDefaults(ips: readonly ResultIp[], routes: readonly ResultRoute[]): ResultRoute[] {
  const result = [...routes];
  for (const { address, gateway } of ips) {
    const family = prefixFamily(address);
    const at = result.findIndex(({ dst }) => dst.length === 0 && prefixFamily(dst) === family);
    const present = result[at];
    if (!gateway || present?.gw) continue;
    if (present) result[at] = { ...present, gw: gateway };
    else result.push({ dst: parsePrefix(family === 4 ? "0.0.0.0/0" : "::/0"), gw: gateway });
  }
  return result;
}
