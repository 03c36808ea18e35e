import { familyOf, type IpAddress, maskPrefix, type Prefix, prefixFamily } from "../../formats/netip/index.ts";
import type { Attachment } from "../rules/wanted.ts";

export interface PodAddress {
  readonly address: IpAddress;
  readonly subnet: Prefix;
}

/** The first address of each family of the container's interface, as the reference chooses. */
export function podAddresses({ result, ifName }: Pick<Attachment, "result" | "ifName">): PodAddress[] {
  const ofInterface = result.ips.filter(({ interface: index }) => {
    const owner = index === undefined ? undefined : result.interfaces[index];
    return owner === undefined || (owner.name === ifName && Boolean(owner.sandbox));
  });
  return ([4, 6] as const).flatMap((family) => {
    const ip = ofInterface.find(({ address }) => prefixFamily(address) === family);
    return ip ? [{ address: ip.address.address, subnet: maskPrefix(ip.address) }] : [];
  });
}

/** `0.0.0.0` and `::`: no destination, but "any of this family". */
export function isUnspecified(ip: IpAddress): boolean {
  return ip === (familyOf(ip) === 4 ? "0.0.0.0" : "::");
}
