import { type AddressPool, readAddressPool } from "./address-pool.ts";
import { Fields, isObject, type JsonObject, parseObject, show } from "./json.ts";

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

const WHAT = "the network config";

/** Keys in any case, unknown ones ignored, as in Flannel. @throws {FlannelError} naming the field and what to do */
export function parseNetworkConfig(text: string): NetworkConfig {
  const fields = new Fields(parseObject(text, WHAT), WHAT);
  const enableIpv4 = fields.boolean("EnableIPv4") ?? true;
  const enableIpv6 = fields.boolean("EnableIPv6") ?? false;
  if (!enableIpv4 && !enableIpv6)
    fields.fail("EnableIPv4", "is false and EnableIPv6 is not true: enable at least one of the two");
  return {
    ...(enableIpv4 && { ipv4: readAddressPool(fields, 4) }),
    ...(enableIpv6 && { ipv6: readAddressPool(fields, 6) }),
    enableNftables: fields.boolean("EnableNFTables") ?? false,
    ...readBackend(fields),
  };
}

function readBackend(fields: Fields): Pick<NetworkConfig, "backendType" | "backend"> {
  const backend = fields.raw("Backend");
  if (backend === undefined) return { backendType: "udp", backend: { Type: "udp" } };
  if (!isObject(backend))
    return fields.fail("Backend", `must be an object such as {"Type": "vxlan"}, not ${show(JSON.stringify(backend))}`);
  const type = new Fields(backend, `${WHAT}, Backend`).string("Type");
  if (!type) return fields.fail("Backend.Type", 'is missing: name a backend, such as "Backend": {"Type": "vxlan"}');
  return { backendType: type.toLowerCase(), backend };
}
