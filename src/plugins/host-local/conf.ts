import { readFileSync } from "node:fs";
import {
  CNI_ERROR,
  CniError,
  type Dns,
  isAtLeast,
  knownArgs,
  type NetConf,
  objectsField,
  parseRoute,
  type ResultRoute,
  stringField,
  stringsField,
} from "../../formats/cni/index.ts";
import { type IpAddress, ParseError, parseIp, parsePrefix, prefixFamily } from "../../formats/netip/index.ts";
import type { Call } from "../plugin.ts";
import { remembered } from "../remember.ts";
import { givenRanges, parseRangeSets, type RangeSet } from "./range.ts";

export interface HostLocalConf {
  readonly dataDir: string;
  readonly sets: readonly RangeSet[];
  readonly routes: readonly ResultRoute[];
  readonly requested: readonly IpAddress[];
  readonly dns: Dns;
}

export const DEFAULT_DATA_DIR = "/var/lib/cni/networks";

/** @throws {CniError} code 7, or 4 for CNI_ARGS */
export function readConf(call: Call): HostLocalConf {
  const { ipam = {}, runtimeConfig, args } = call.conf;
  const shared = networkConf(call.conf);
  const given = call.args === "" ? undefined : knownArgs(call.args, ["IP", "MAC"]).IP;
  const resolvConf = stringField(ipam, "resolvConf");
  return orInvalid(() => ({
    ...shared,
    // A prefix may be given; its length is the range's business.
    requested: [
      ...(given ? [given] : []),
      ...(stringsField(args, "ips") ?? []),
      ...(stringsField(runtimeConfig, "ips") ?? []),
    ].map((text) => (text.includes("/") ? parsePrefix(text).address : parseIp(text))),
    dns: resolvConf ? parseResolvConf(readFileSync(resolvConf, "utf8")) : {},
  }));
}

/** What all pods of the network share. */
const networkConf = remembered((conf: NetConf): Pick<HostLocalConf, "dataDir" | "sets" | "routes"> => {
  const { ipam, runtimeConfig, cniVersion } = conf;
  if (!ipam) return invalid("IPAM config missing 'ipam' key");
  const sets = parseRangeSets(givenRanges(ipam, runtimeConfig));
  if (sets.length === 0) return invalid("no IP ranges specified");
  for (const family of [4, 6])
    if (!isAtLeast(cniVersion, "0.3.0") && sets.filter((set) => familyOfSet(set) === family).length > 1)
      return invalid(`CNI version ${cniVersion} does not support more than 1 address per family`);
  return orInvalid(() => ({
    dataDir: stringField(ipam, "dataDir") || DEFAULT_DATA_DIR,
    sets,
    routes: (objectsField(ipam, "routes") ?? []).map(parseRoute),
  }));
});

function orInvalid<T>(read: () => T): T {
  try {
    return read();
  } catch (e) {
    if (e instanceof ParseError) return invalid(`invalid ipam configuration: ${e.message}`);
    throw e;
  }
}

function familyOfSet(set: RangeSet): number {
  return set[0] ? prefixFamily(set[0].subnet) : 0;
}

function invalid(message: string): never {
  throw new CniError(CNI_ERROR.invalidNetworkConfig, message);
}

/** resolv.conf(5), the four keywords CNI has a place for. */
export function parseResolvConf(text: string): Dns {
  const values = (keyword: string): string[] =>
    text
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter(([first]) => first === keyword)
      .flatMap(([, ...rest]) => rest);
  const [nameservers, search, options] = ["nameserver", "search", "options"].map(values);
  const domain = values("domain").at(-1);
  return {
    ...(nameservers?.length ? { nameservers } : {}),
    ...(domain ? { domain } : {}),
    ...(search?.length ? { search } : {}),
    ...(options?.length ? { options } : {}),
  };
}
