import { type Ipv4Address, type Ipv6Address, parseIpv4, parseIpv6 } from "../netip/index.ts";
import { Fields, formatGoJson, type JsonValue, parseObject } from "./json.ts";

/** The value of a lease's key: where the node is reached and what its backend needs to know. */
export interface LeaseAttrs {
  /** `0.0.0.0` on a node without IPv4; Flannel's readers need an IPv4 address here. */
  readonly publicIp: Ipv4Address;
  readonly publicIpv6?: Ipv6Address;
  /** `vxlan`; the empty string with the udp and alloc backends. */
  readonly backendType: string;
  readonly backendData?: JsonValue;
  readonly backendV6Data?: JsonValue;
}

/** Byte for byte what Go's json.Marshal makes of Flannel's LeaseAttrs. */
export function formatLeaseAttrs(attrs: LeaseAttrs): string {
  // The order, the null and what is left out when empty are those of Flannel's struct.
  return formatGoJson({
    PublicIP: attrs.publicIp,
    PublicIPv6: attrs.publicIpv6 ?? null,
    ...(attrs.backendType !== "" && { BackendType: attrs.backendType }),
    ...(attrs.backendData !== undefined && { BackendData: attrs.backendData }),
    ...(attrs.backendV6Data !== undefined && { BackendV6Data: attrs.backendV6Data }),
  });
}

/** Keys in any case, unknown ones ignored. @throws {FlannelError} naming the field */
export function parseLeaseAttrs(text: string): LeaseAttrs {
  const what = "the lease's value";
  const fields = new Fields(parseObject(text, what), what);
  const publicIp = fields.parsed("PublicIP", parseIpv4);
  if (publicIp === undefined) return fields.fail("PublicIP", "is missing: it must be the node's IPv4 address");
  const publicIpv6 = fields.parsed("PublicIPv6", parseIpv6);
  const backendData = fields.raw("BackendData");
  const backendV6Data = fields.raw("BackendV6Data");
  return {
    publicIp,
    ...(publicIpv6 !== undefined && { publicIpv6 }),
    backendType: fields.string("BackendType") ?? "",
    ...(backendData !== undefined && { backendData }),
    ...(backendV6Data !== undefined && { backendV6Data }),
  };
}
