// One result in memory (the shape of 1.1.0), and the seven shapes on the wire.
//
//   0.1.0 0.2.0          ip4 {ip, gateway, routes}, ip6 {...}: the first address of each family, no interfaces
//   0.3.0 0.3.1 0.4.0    interfaces, ips with "version", routes
//   1.0.0                ips without "version"
//   1.1.0                interfaces gain mtu, socketPath, pciID
import {
  formatPrefix,
  type IpAddress,
  type IpFamily,
  ParseError,
  type Prefix,
  parseIp,
  parsePrefix,
  prefixFamily,
} from "../netip/index.ts";
import { type Dns, isEmptyDns, parseDns } from "./dns.ts";
import { CNI_ERROR, CniError } from "./errors.ts";
import { integerField, type JsonObject, objectField, objectsField, stringField } from "./json.ts";
import { type CniVersion, isAtLeast, isCniVersion } from "./version.ts";

export interface ResultInterface {
  readonly name: string;
  readonly mac?: string;
  readonly mtu?: number;
  /** The namespace's path, as CNI_NETNS gave it; absent on the host. */
  readonly sandbox?: string;
  readonly socketPath?: string;
  readonly pciID?: string;
}

export interface ResultIp {
  /** Index into `interfaces`. */
  readonly interface?: number;
  /** The address with its network's length: host bits are set. */
  readonly address: Prefix;
  readonly gateway?: IpAddress;
}

export interface ResultRoute {
  readonly dst: Prefix;
  readonly gw?: IpAddress;
  readonly mtu?: number;
  readonly advmss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
}

export interface Result {
  readonly interfaces: readonly ResultInterface[];
  readonly ips: readonly ResultIp[];
  readonly routes: readonly ResultRoute[];
  readonly dns: Dns;
}

export const EMPTY_RESULT: Result = { interfaces: [], ips: [], routes: [], dns: {} };

/** The result document in the version the caller asked for. */
export function formatResult(result: Result, version: CniVersion): string {
  return JSON.stringify(resultToJson(result, version));
}

export function resultToJson(result: Result, version: CniVersion): JsonObject {
  if (!isAtLeast(version, "0.3.0")) return legacyToJson(result, version);
  const isOld = !isAtLeast(version, "1.0.0");
  const interfaces = result.interfaces.map(({ mtu, socketPath, pciID, ...rest }) =>
    present({ ...rest, ...(isOld ? {} : { mtu, socketPath, pciID }) }),
  );
  const ips = result.ips.map((ip) =>
    present({
      version: isOld ? String(prefixFamily(ip.address)) : undefined,
      interface: ip.interface,
      address: formatPrefix(ip.address),
      gateway: ip.gateway,
    }),
  );
  return present({
    cniVersion: version,
    interfaces: interfaces.length > 0 ? interfaces : undefined,
    ips: ips.length > 0 ? ips : undefined,
    routes: result.routes.length > 0 ? result.routes.map(routeToJson) : undefined,
    dns: isOld || !isEmptyDns(result.dns) ? { ...result.dns } : undefined,
  });
}

/** @throws {CniError} when there is no address: 0.1.0 and 0.2.0 cannot say "interfaces only" */
function legacyToJson(result: Result, version: CniVersion): JsonObject {
  const ofFamily = (family: IpFamily): JsonObject | undefined => {
    const ip = result.ips.find(({ address }) => prefixFamily(address) === family);
    if (!ip) return undefined;
    const routes = result.routes.filter(({ dst }) => prefixFamily(dst) === family).map(routeToJson);
    return present({
      ip: formatPrefix(ip.address),
      gateway: ip.gateway,
      routes: routes.length > 0 ? routes : undefined,
    });
  };
  const [ip4, ip6] = [ofFamily(4), ofFamily(6)];
  if (!ip4 && !ip6)
    throw new CniError(CNI_ERROR.internal, `Cannot say the result in version ${version}: no valid IP addresses`);
  return present({ cniVersion: version, ip4, ip6, dns: { ...result.dns } });
}

function routeToJson(route: ResultRoute): JsonObject {
  return present({ ...route, dst: formatPrefix(route.dst) });
}

function present(object: { [key: string]: JsonObject[string] }): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

/**
 * Reads a result in any version; one without cniVersion has `defaultVersion`, the configuration's.
 * @throws {CniError} code 6
 */
export function parseResult(object: JsonObject, defaultVersion: CniVersion): Result {
  const version = stringField(object, "cniVersion") || defaultVersion;
  if (!isCniVersion(version))
    throw new CniError(CNI_ERROR.decoding, `unsupported CNI result version ${JSON.stringify(version)}`);
  try {
    return isAtLeast(version, "0.3.0") ? readResult(object) : readLegacy(object);
  } catch (cause) {
    if (!(cause instanceof ParseError)) throw cause;
    throw new CniError(CNI_ERROR.decoding, `Cannot read the result: ${cause.message}`, { cause });
  }
}

function readResult(object: JsonObject): Result {
  const interfaces = (objectsField(object, "interfaces") ?? []).map((item): ResultInterface => {
    const { name, mtu } = { name: stringField(item, "name") ?? "", mtu: integerField(item, "mtu") };
    return { name, ...strings(item, ["mac", "sandbox", "socketPath", "pciID"]), ...(mtu ? { mtu } : {}) };
  });
  const ips = (objectsField(object, "ips") ?? []).map((item): ResultIp => {
    const index = integerField(item, "interface");
    if (index !== undefined && (index < 0 || index >= interfaces.length))
      throw new CniError(
        CNI_ERROR.decoding,
        `Cannot read the result: an address names interface ${index} of ${interfaces.length}`,
      );
    return {
      ...(index === undefined ? {} : { interface: index }),
      address: parsePrefix(stringField(item, "address") ?? ""),
      ...addressField(item, "gateway"),
    };
  });
  return { interfaces, ips, routes: readRoutes(object), dns: parseDns(objectField(object, "dns")) };
}

function readLegacy(object: JsonObject): Result {
  const parts = [objectField(object, "ip4"), objectField(object, "ip6")].filter((part) => part !== undefined);
  return {
    interfaces: [],
    ips: parts.map((part) => ({
      address: parsePrefix(stringField(part, "ip") ?? ""),
      ...addressField(part, "gateway"),
    })),
    routes: parts.flatMap(readRoutes),
    dns: parseDns(objectField(object, "dns")),
  };
}

function readRoutes(object: JsonObject): ResultRoute[] {
  return (objectsField(object, "routes") ?? []).map(parseRoute);
}

/** One route of a result, or of an IPAM configuration. */
export function parseRoute(item: JsonObject): ResultRoute {
  const numbers = (["mtu", "advmss", "priority", "table", "scope"] as const).flatMap((key) => {
    const value = integerField(item, key);
    return value === undefined ? [] : [[key, value]];
  });
  return {
    dst: parsePrefix(stringField(item, "dst") ?? ""),
    ...addressField(item, "gw"),
    ...Object.fromEntries(numbers),
  };
}

function addressField<K extends string>(item: JsonObject, key: K): { [key in K]?: IpAddress } {
  const text = stringField(item, key);
  return (text ? { [key]: parseIp(text) } : {}) as { [key in K]?: IpAddress };
}

function strings<K extends string>(item: JsonObject, keys: readonly K[]): { [key in K]?: string } {
  return Object.fromEntries(
    keys.flatMap((key) => {
      const value = stringField(item, key);
      return value ? [[key, value]] : [];
    }),
  ) as { [key in K]?: string };
}
