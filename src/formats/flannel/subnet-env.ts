import { addToIp, formatPrefix, maskPrefix, type Prefix, parsePrefix, prefixFamily } from "../netip/index.ts";
import { FlannelError } from "./errors.ts";
import { show } from "./json.ts";

/** `/run/flannel/subnet.env`: what the daemon tells the CNI plugin. */
export interface SubnetEnv {
  /** `FLANNEL_NETWORK`; one, or more in files of some Flannel releases. */
  readonly networks: readonly Prefix[];
  /** `FLANNEL_SUBNET` as the subnet itself (`10.5.67.0/24`); the file has its first address (`10.5.67.1/24`). */
  readonly subnet?: Prefix;
  readonly ipv6Networks: readonly Prefix[];
  readonly ipv6Subnet?: Prefix;
  readonly mtuBytes: number;
  readonly ipMasq: boolean;
}

const WHAT = "subnet.env";

/** The file's text in Flannel's order, each line ended. */
export function formatSubnetEnv(env: SubnetEnv): string {
  const list = (prefixes: readonly Prefix[]): string | undefined =>
    prefixes.length > 0 ? prefixes.map(formatPrefix).join(",") : undefined;
  const lines = [
    ["FLANNEL_NETWORK", list(env.networks)],
    ["FLANNEL_SUBNET", env.subnet && formatPrefix(firstAddress(env.subnet))],
    ["FLANNEL_IPV6_NETWORK", list(env.ipv6Networks)],
    ["FLANNEL_IPV6_SUBNET", env.ipv6Subnet && formatPrefix(firstAddress(env.ipv6Subnet))],
    ["FLANNEL_MTU", String(env.mtuBytes)],
    ["FLANNEL_IPMASQ", String(env.ipMasq)],
  ];
  return lines
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}

/** @throws {FlannelError} naming every line that is missing, or the one that is wrong */
export function parseSubnetEnv(text: string): SubnetEnv {
  const values = readLines(text);
  const networks = readPrefixes(values, "FLANNEL_NETWORK", 4);
  const ipv6Networks = readPrefixes(values, "FLANNEL_IPV6_NETWORK", 6);
  const subnet = readSubnet(values, "FLANNEL_SUBNET", 4);
  const ipv6Subnet = readSubnet(values, "FLANNEL_IPV6_SUBNET", 6);
  const mtu = values.get("FLANNEL_MTU");
  const ipMasq = values.get("FLANNEL_IPMASQ");
  const missing = [
    ...(networks.length + ipv6Networks.length === 0 ? ["FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK"] : []),
    ...((subnet ?? ipv6Subnet) ? [] : ["FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET"]),
    ...(mtu ? [] : ["FLANNEL_MTU"]),
    ...(ipMasq ? [] : ["FLANNEL_IPMASQ"]),
  ];
  if (mtu === undefined || ipMasq === undefined || missing.length > 0)
    throw new FlannelError(WHAT, "", `it is missing ${missing.join(", ")}: let the node's daemon write it anew`);
  if (!/^[0-9]{1,5}$/.test(mtu)) throw new FlannelError(WHAT, "FLANNEL_MTU", `must be a number, not ${show(mtu)}`);
  return {
    networks,
    ...(subnet && { subnet }),
    ipv6Networks,
    ...(ipv6Subnet && { ipv6Subnet }),
    mtuBytes: Number(mtu),
    ipMasq: readBoolean(ipMasq),
  };
}

function firstAddress(subnet: Prefix): Prefix {
  return { address: addToIp(maskPrefix(subnet).address, 1), length: subnet.length };
}

function readLines(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^\s*(?:export\s+)?([A-Z0-9_]+)\s*=\s*(.*?)\s*$/.exec(line);
    const [, name, value] = match ?? [];
    // Quotes are what a dotenv writer may put round a value.
    if (name && value !== undefined) values.set(name, value.replace(/^(["'])(.*)\1$/, "$2"));
  }
  return values;
}

function readPrefixes(values: ReadonlyMap<string, string>, name: string, family: 4 | 6): Prefix[] {
  const texts = new Set((values.get(name) ?? "").split(",").filter((text) => text !== ""));
  return [...texts].map((text) => maskPrefix(readPrefix(name, text, family)));
}

/** Flannel takes no notice of several subnets in one line. */
function readSubnet(values: ReadonlyMap<string, string>, name: string, family: 4 | 6): Prefix | undefined {
  const text = values.get(name);
  if (!text || text.includes(",")) return undefined;
  return maskPrefix(readPrefix(name, text, family));
}

function readPrefix(name: string, text: string, family: 4 | 6): Prefix {
  try {
    const prefix = parsePrefix(text);
    if (prefixFamily(prefix) === family) return prefix;
  } catch {
    // Said below.
  }
  throw new FlannelError(WHAT, name, `must be an IPv${family} ADDRESS/LENGTH, not ${show(text)}`);
}

/** What Go's strconv.ParseBool takes. */
function readBoolean(text: string): boolean {
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
  throw new FlannelError(WHAT, "FLANNEL_IPMASQ", `must be true or false, not ${show(text)}`);
}
