import { type IpAddress, ipFromBytes } from "../../netip/index.ts";
import type { Attributes } from "../attribute.ts";
import { DecodeError } from "../errors.ts";

export const RTA_GATEWAY = 5;
/** struct rtvia { __kernel_sa_family_t rtvia_family; __u8 rtvia_addr[]; }: a gateway of the other family. */
export const RTA_VIA = 18;

/** Of a route, or of one hop of a multipath route. */
export function readGateway(attributes: Attributes, layer: string): IpAddress | undefined {
  const via = attributes.bytes(RTA_VIA);
  if (via === undefined) return attributes.ip(RTA_GATEWAY);
  if (via.length !== 6 && via.length !== 18) throw new DecodeError(layer, 0, `RTA_VIA of ${via.length} bytes`);
  return ipFromBytes(via.subarray(2));
}
