import {
  arrayField,
  CNI_ERROR,
  CniError,
  isObject,
  type Json,
  type JsonObject,
  stringField,
} from "../../formats/cni/index.ts";
import {
  addToIp,
  compareIp,
  formatPrefix,
  type IpAddress,
  lastAddress,
  maskPrefix,
  type Prefix,
  parseIp,
  parsePrefix,
  prefixBits,
  prefixContains,
  prefixesOverlap,
  prefixFamily,
} from "../../formats/netip/index.ts";

/** Consecutive addresses of one subnet, both ends included; the gateway among them is not handed out. */
export interface Range {
  readonly subnet: Prefix;
  readonly rangeStart: IpAddress;
  readonly rangeEnd: IpAddress;
  readonly gateway: IpAddress;
}

/** Of each set a container gets one address. */
export type RangeSet = readonly Range[];

function invalid(message: string): never {
  throw new CniError(CNI_ERROR.invalidNetworkConfig, message);
}

/** `ranges` of an ipam configuration. @throws {CniError} code 7 */
export function parseRangeSets(ranges: readonly Json[]): RangeSet[] {
  const sets = ranges.map((set, index) => {
    if (!Array.isArray(set) || !set.every(isObject) || set.length === 0)
      return invalid(`invalid range set ${index}: want an array of at least one {"subnet": …}`);
    return set.map((range) => parseRange(range, index));
  });
  for (const [index, set] of sets.entries()) {
    if (new Set(set.map(({ subnet }) => prefixFamily(subnet))).size > 1)
      invalid(`invalid range set ${index}: mixed address families`);
    for (const other of sets.slice(0, index))
      if (set.some((a) => other.some((b) => prefixesOverlap(a.subnet, b.subnet) && rangesOverlap(a, b))))
        invalid(`range set ${index} overlaps with ${sets.indexOf(other)}`);
    for (const [i, range] of set.entries())
      if (set.slice(0, i).some((earlier) => rangesOverlap(range, earlier)))
        invalid(`invalid range set ${index}: subnet ${printRange(range)} overlaps with one before it`);
  }
  return sets;
}

function parseRange(range: JsonObject, set: number): Range {
  try {
    const subnet = parsePrefix(stringField(range, "subnet") ?? "");
    const text = formatPrefix(subnet);
    if (prefixBits(subnet) - subnet.length < 2) return invalid(`Network ${text} too small to allocate from`);
    const network = maskPrefix(subnet);
    if (network.address !== subnet.address)
      return invalid(
        `Network has host bits set. For a subnet mask of length ${subnet.length} the network address is ${network.address}`,
      );
    // IPv4's last address is the broadcast address.
    const last = addToIp(lastAddress(subnet), prefixFamily(subnet) === 4 ? -1 : 0);
    const given = (key: string, fallback: IpAddress): IpAddress => {
      const value = stringField(range, key);
      const ip = value ? parseIp(value) : fallback;
      if (value && key !== "gateway" && !prefixContains(subnet, ip))
        return invalid(`${key} ${ip} not in network ${text}`);
      return ip;
    };
    const first = addToIp(network.address, 1);
    const parsed: Range = {
      subnet,
      rangeStart: given("rangeStart", first),
      rangeEnd: given("rangeEnd", last),
      gateway: given("gateway", first),
    };
    if (compareIp(parsed.rangeStart, parsed.rangeEnd) > 0)
      return invalid(`rangeStart ${parsed.rangeStart} is after rangeEnd ${parsed.rangeEnd}`);
    return parsed;
  } catch (e) {
    if (e instanceof CniError) throw new CniError(e.code, `invalid range set ${set}: ${e.message}`, { cause: e });
    return invalid(`invalid range set ${set}: ${(e as Error).message}`);
  }
}

/** The ranges of a configuration: `runtimeConfig.ipRanges` first, then a subnet given in the old style, then `ranges`. */
export function givenRanges(ipam: JsonObject, runtimeConfig: JsonObject): Json[] {
  const old = ["subnet", "rangeStart", "rangeEnd", "gateway"].flatMap((key) => {
    const value = stringField(ipam, key);
    return value ? [[key, value]] : [];
  });
  const hasSubnet = Boolean(stringField(ipam, "subnet"));
  return [
    ...(arrayField(runtimeConfig, "ipRanges") ?? []),
    ...(hasSubnet ? [[Object.fromEntries(old)]] : []),
    ...(arrayField(ipam, "ranges") ?? []),
  ];
}

export function rangeContains(range: Range, ip: IpAddress): boolean {
  return prefixContains(range.subnet, ip) && compareIp(range.rangeStart, ip) <= 0 && compareIp(ip, range.rangeEnd) <= 0;
}

export function printRange(range: Range): string {
  return `${range.rangeStart}-${range.rangeEnd}`;
}

export function printRangeSet(set: RangeSet): string {
  return set.map(printRange).join(",");
}

function rangesOverlap(a: Range, b: Range): boolean {
  return rangeContains(a, b.rangeStart) || rangeContains(b, a.rangeStart);
}
