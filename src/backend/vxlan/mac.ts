import { createHash } from "node:crypto";
import { type IpAddress, localMac, type MacAddress } from "../../formats/netip/index.ts";

/**
 * The VtepMAC of a node that never had one: a hash of what no two nodes of a cluster share, its public address and the
 * VNI. Needs no file, so a node that lost everything but its address comes back with it (docs/adr/0003).
 */
export function deriveVtepMac(publicIp: IpAddress, vni: number): MacAddress {
  return localMac(createHash("sha256").update(`podpath VtepMAC ${publicIp} ${vni}`).digest().subarray(0, 6));
}
