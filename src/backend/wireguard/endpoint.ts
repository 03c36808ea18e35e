import type { LeaseAttrs, WireguardMode } from "../../formats/flannel/index.ts";
import { type IpAddress, type IpFamily, parsePrefix, prefixContains } from "../../formats/netip/index.ts";
import { NO_IPV4 } from "../addresses.ts";
import type { ExternalInterface } from "../backend.ts";

/** RFC 1918, RFC 4193 */
const PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"].map(parsePrefix);

function isPrivate(ip: IpAddress): boolean {
  return PRIVATE.some((prefix) => prefixContains(prefix, ip));
}

/**
 * The address by which a node is reached; undefined: it has none of the family that is wanted. With "auto" the one that
 * is likelier to work: IPv4 where that is public, else IPv6 where both ends' are, else IPv4.
 * @param family of the device, with "separate"
 */
export function endpointAddress(
  attrs: LeaseAttrs,
  external: ExternalInterface,
  mode: WireguardMode,
  family: IpFamily,
): IpAddress | undefined {
  const v4 = attrs.publicIp === NO_IPV4 ? undefined : attrs.publicIp;
  const v6 = attrs.publicIpv6;
  if (mode === "ipv4" || (mode === "separate" && family === 4)) return v4;
  if (mode === "ipv6" || mode === "separate") return v6;
  if (!v4 || !v6) return v4 ?? v6;
  if (!isPrivate(v4) && external.publicIp) return v4;
  const own = external.publicIpv6;
  return !isPrivate(v6) && own && !isPrivate(own) ? v6 : v4;
}
