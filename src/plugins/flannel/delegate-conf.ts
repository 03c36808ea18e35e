import {
  arrayField,
  CNI_ERROR,
  CniError,
  field,
  type Json,
  type JsonObject,
  type NetConf,
  objectField,
  stringField,
  withFields,
} from "../../formats/cni/index.ts";
import type { SubnetEnv } from "../../formats/flannel/index.ts";
import { formatPrefix } from "../../formats/netip/index.ts";

function invalid(message: string): never {
  throw new CniError(CNI_ERROR.invalidNetworkConfig, message);
}

/** The bridge plugin's configuration, from the network's `delegate` and what subnet.env says. */
export function delegateConf(conf: NetConf, subnet: SubnetEnv): JsonObject {
  const given = objectField(conf.raw, "delegate") ?? {};
  for (const key of ["name", "ipam"])
    if (field(given, key) !== undefined)
      invalid(`'delegate' dictionary must not have '${key}' field, it'll be set by flannel`);
  const type = stringField(given, "type") ?? "bridge"; // throws when it is no string
  const defaults: { [key: string]: Json } = {
    type,
    ipMasq: !subnet.ipMasq, // whoever does not masquerade on the node leaves it to the bridge
    mtu: subnet.mtuBytes,
    ...(type === "bridge" ? { isGateway: true } : {}),
  };
  const missing = Object.entries(defaults).filter(([key]) => field(given, key) === undefined);
  const { cniVersion, runtimeConfig } = {
    cniVersion: field(conf.raw, "cniVersion"),
    runtimeConfig: conf.runtimeConfig,
  };
  return withFields(given, {
    ...Object.fromEntries(missing),
    name: conf.name,
    ...(cniVersion === undefined ? {} : { cniVersion }),
    ...(Object.keys(runtimeConfig).length > 0 ? { runtimeConfig } : {}),
    ipam: ipamConf(conf, subnet),
  });
}

/** One range and one route a family; all else of the given `ipam` stays. */
function ipamConf(conf: NetConf, subnet: SubnetEnv): JsonObject {
  const given = conf.ipam ?? {};
  const subnets = [subnet.subnet, subnet.ipv6Subnet].filter((prefix) => prefix !== undefined);
  const networks = [...subnet.networks, ...subnet.ipv6Networks];
  return withFields(given, {
    type: stringField(given, "type") ?? "host-local",
    ranges: subnets.map((prefix) => [{ subnet: formatPrefix(prefix) }]),
    routes: [...(arrayField(given, "routes") ?? []), ...networks.map((prefix) => ({ dst: formatPrefix(prefix) }))],
  });
}

/** Compact JSON with its keys sorted at every depth, as Go prints a map: the text in the scratch file. */
export function formatSorted(value: JsonObject): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
