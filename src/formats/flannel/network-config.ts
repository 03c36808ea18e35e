import type { Prefix } from "../netip/index.ts";
import type { JsonObject } from "./json.ts";

/** One family's part of the network config: where subnets are cut from. */
export interface AddressPool {
  /** Host bits cleared. */
  readonly network: Prefix;
  /** `SubnetLen`: the prefix length of every node's subnet. */
  readonly subnetLength: number;
  /** The first and the last subnet that may be given out, both as prefixes of `subnetLength`. */
  readonly subnetMin: Prefix;
  readonly subnetMax: Prefix;
}

/** What stands under `<prefix>/config` in the store: Flannel's network configuration, checked, with defaults. */
export interface NetworkConfig {
  /** Present unless `EnableIPv4` is false. */
  readonly ipv4?: AddressPool;
  /** Present when `EnableIPv6` is true. */
  readonly ipv6?: AddressPool;
  readonly enableNftables: boolean;
  /** `Backend.Type` in lower case; `"udp"` when there is no `Backend` at all, as in Flannel. */
  readonly backendType: string;
  /** The whole `Backend` object, for the backend's own options. */
  readonly backend: JsonObject;
}

/** @throws {FlannelError} naming the field and what to do */
export function parseNetworkConfig(text: string): NetworkConfig {
  throw new Error(`not yet: ${text}`);
}
