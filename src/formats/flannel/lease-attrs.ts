import type { Ipv4Address, Ipv6Address } from "../netip/index.ts";
import type { JsonValue } from "./json.ts";

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
  throw new Error(`not yet: ${attrs.publicIp}`);
}

/** @throws {FlannelError} naming the field */
export function parseLeaseAttrs(text: string): LeaseAttrs {
  throw new Error(`not yet: ${text}`);
}
