import { familyOf, type IpAddress, type IpFamily, type Prefix, parsePrefix, prefixContains } from "../netip/index.ts";
import type { Field } from "./field.ts";

/**
 * Addresses that Kubernetes' API refuses in Services and EndpointSlices: DNAT to one of them would reach what only the
 * node itself may reach.
 */
const SPECIAL: readonly (readonly [Prefix, string])[] = (
  [
    ["0.0.0.0/32", "the unspecified address"],
    ["::/128", "the unspecified address"],
    ["127.0.0.0/8", "a loopback address"],
    ["::1/128", "a loopback address"],
    ["169.254.0.0/16", "a link-local address"],
    ["fe80::/10", "a link-local address"],
    ["224.0.0.0/4", "a multicast address"],
    ["ff00::/8", "a multicast address"],
    ["255.255.255.255/32", "the broadcast address"],
  ] as const
).map(([prefix, what]) => [parsePrefix(prefix), what]);

/** An address that a Service or an endpoint can have. */
export function readUnicast(field: Field, family?: IpFamily): IpAddress {
  const ip = field.ip();
  if (family !== undefined && familyOf(ip) !== family)
    field.fail(`${ip} is not an IPv${family} address, as addressType says`);
  const special = SPECIAL.find(([prefix]) => prefixContains(prefix, ip));
  if (special) field.fail(`${ip} is ${special[1]}`);
  return ip;
}
