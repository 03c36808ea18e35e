import { type IpAddress, type IpFamily, isIpv4 } from "../../netip/index.ts";
import { AF_INET, AF_INET6 } from "../constants.ts";
import { DecodeError } from "../errors.ts";

/** AF_INET or AF_INET6. */
export function afOf(family: IpFamily): number {
  return family === 4 ? AF_INET : AF_INET6;
}

/** The IP family behind the address family that a structure names. @throws {DecodeError} for every other one */
export function familyOfAf(af: number, layer: string): IpFamily {
  if (af !== AF_INET && af !== AF_INET6) throw new DecodeError(layer, 0, `address family ${af}`);
  return af === AF_INET ? 4 : 6;
}

/** @throws {DecodeError} when the address is of another family than the structure that holds it */
export function ofFamily<T extends IpAddress | undefined>(ip: T, family: IpFamily, layer: string): T {
  if (ip !== undefined && isIpv4(ip) !== (family === 4))
    throw new DecodeError(layer, 0, `address ${ip} in a structure of IPv${family}`);
  return ip;
}
