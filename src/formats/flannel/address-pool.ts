// Flannel's checks of Network, SubnetLen, SubnetMin and SubnetMax, the same for both families but for the numbers.
import {
  addToIp,
  compareIp,
  formatPrefix,
  type IpAddress,
  lastAddress,
  maskPrefix,
  type Prefix,
  parseIpv4,
  parseIpv6,
  parsePrefix,
  prefixContains,
  prefixFamily,
  prefixSize,
} from "../netip/index.ts";
import type { Fields } from "./json.ts";

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

/** `Network…` fields of IPv4, `IPv6Network…` of IPv6. */
const FAMILIES = {
  4: { prefix: "", parse: parseIpv4, smallest: 28, longest: 30, usual: 24 },
  6: { prefix: "IPv6", parse: parseIpv6, smallest: 124, longest: 126, usual: 64 },
} as const;

/** @throws {FlannelError} */
export function readAddressPool(fields: Fields, family: 4 | 6): AddressPool {
  const rules = FAMILIES[family];
  const name = (field: string): string => `${rules.prefix}${field}`;
  const network = readNetwork(fields, name("Network"), family);
  const subnetLength = readSubnetLength(fields, name("SubnetLen"), network, rules);
  const edge = (field: string, fallback: IpAddress): Prefix => {
    const address = fields.parsed<IpAddress>(name(field), rules.parse) ?? fallback;
    const subnet = { address, length: subnetLength };
    const allowed = `${formatPrefix(network)}, which ${name("Network")} gives`;
    if (!prefixContains(network, address))
      fields.fail(
        name(field),
        `${address} is not in the range of the ${name("Network")}: choose one inside ${allowed}`,
      );
    const boundary = maskPrefix(subnet).address;
    if (boundary !== address)
      fields.fail(
        name(field),
        `is not on a ${name("SubnetLen")} boundary: ${address} is inside ${boundary}/${subnetLength}; write ${boundary}`,
      );
    return subnet;
  };
  const size = prefixSize({ address: network.address, length: subnetLength });
  // The first subnet of the network is never given out, as in Flannel.
  const subnetMin = edge("SubnetMin", addToIp(network.address, size));
  const subnetMax = edge("SubnetMax", addToIp(lastAddress(network), 1n - size));
  if (compareIp(subnetMin.address, subnetMax.address) > 0)
    fields.fail(
      name("SubnetMin"),
      `${subnetMin.address} is after ${name("SubnetMax")} ${subnetMax.address}: swap them`,
    );
  return { network, subnetLength, subnetMin, subnetMax };
}

function readNetwork(fields: Fields, name: string, family: 4 | 6): Prefix {
  const example = family === 4 ? "10.244.0.0/16" : "fd00:10:244::/48";
  const network = fields.parsed(name, parsePrefix);
  if (network === undefined)
    return fields.fail(name, `is missing: please define a correct ${name}, such as "${name}": "${example}"`);
  if (prefixFamily(network) !== family)
    fields.fail(name, `must be an IPv${family} prefix such as ${example}, not ${formatPrefix(network)}`);
  return maskPrefix(network);
}

function readSubnetLength(fields: Fields, name: string, network: Prefix, rules: (typeof FAMILIES)[4 | 6]): number {
  const given = fields.integer(name, 0, 4_294_967_295);
  // Flannel takes 0 for "not given".
  if (given) {
    if (given > rules.longest)
      fields.fail(name, `must be less than /${rules.longest + 1}, not ${given}: a subnet needs room for pods`);
    if (given < network.length + 2)
      fields.fail(
        name,
        `${given} is too short: the network must be able to accommodate at least four subnets, ` +
          `so with ${formatPrefix(network)} it must be ${network.length + 2} or more`,
      );
    return given;
  }
  if (network.length > rules.smallest)
    fields.fail(
      `${rules.prefix}Network`,
      `${formatPrefix(network)} is too small: the minimum useful network prefix is /${rules.smallest}`,
    );
  return network.length <= rules.usual - 2 ? rules.usual : network.length + 2;
}
