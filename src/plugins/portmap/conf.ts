import {
  arrayField,
  booleanField,
  CNI_ERROR,
  CniError,
  integerField,
  type JsonObject,
  type NetConf,
  objectsField,
  stringField,
  stringsField,
} from "../../formats/cni/index.ts";
import { type IpAddress, ParseError, parseIp } from "../../formats/netip/index.ts";

export const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const;
export type Protocol = keyof typeof PROTOCOLS;

export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: Protocol;
  /** Only packets to this address of the host; absent: to any. */
  readonly hostIp?: IpAddress;
}

export interface PortmapConf {
  readonly mappings: readonly PortMapping[];
  readonly backend: "nftables" | "iptables";
  /** Masquerade what the pod could not answer otherwise: its own packets to its host port, and those of 127.0.0.1. */
  readonly snat: boolean;
  /** …and everything else that comes by a host port. */
  readonly masqAll: boolean;
  /** Bit of the mark, 0 to 31; iptables only. */
  readonly markMasqBit: number;
  /** Somebody else's chain that marks; iptables only. */
  readonly externalSetMarkChain?: string;
  /** More matches, in the backend's own words. */
  readonly conditions: { readonly 4: readonly string[]; readonly 6: readonly string[] };
}

function invalid(message: string): never {
  throw new CniError(CNI_ERROR.invalidNetworkConfig, `portmap: ${message}`);
}

/** Whether there is anything to do: of a pod without host ports nothing else is read. */
export function hasMappings({ runtimeConfig }: NetConf): boolean {
  return (arrayField(runtimeConfig, "portMappings") ?? []).length > 0;
}

/** @throws {CniError} code 7 */
export function readPortmapConf({ raw, runtimeConfig }: NetConf): PortmapConf {
  const markMasqBit = integerField(raw, "markMasqBit");
  const externalSetMarkChain = stringField(raw, "externalSetMarkChain");
  if (markMasqBit !== undefined && (markMasqBit < 0 || markMasqBit > 31))
    return invalid(`MasqMarkBit must be between 0 and 31, not ${markMasqBit}`);
  if (markMasqBit !== undefined && externalSetMarkChain)
    return invalid("Cannot specify externalSetMarkChain and markMasqBit");
  const conditions = { 4: stringsField(raw, "conditionsV4") ?? [], 6: stringsField(raw, "conditionsV6") ?? [] };
  // Only iptables knows marks and chains of that kind, and writes its matches with dashes.
  const isForIptables =
    markMasqBit !== undefined ||
    Boolean(externalSetMarkChain) ||
    [...conditions[4], ...conditions[6]].some((word) => /^(-|!$)/.test(word));
  const backend = stringField(raw, "backend") || (isForIptables ? "iptables" : "nftables");
  if (backend !== "nftables" && backend !== "iptables")
    return invalid(`unknown backend ${JSON.stringify(backend)}: want "nftables" or "iptables"`);
  return {
    mappings: (objectsField(runtimeConfig, "portMappings") ?? []).map(readMapping),
    backend,
    snat: booleanField(raw, "snat") ?? true,
    masqAll: booleanField(raw, "masqAll") ?? false,
    markMasqBit: markMasqBit ?? 13,
    ...(externalSetMarkChain ? { externalSetMarkChain } : {}),
    conditions,
  };
}

function readMapping(object: JsonObject): PortMapping {
  const port = (key: string): number => {
    const value = integerField(object, key) ?? 0;
    if (value < 1 || value > 65535) return invalid(`Invalid ${key} number: ${value}; want 1 to 65535`);
    return value;
  };
  const protocol = (stringField(object, "protocol") || "tcp").toLowerCase();
  if (!isProtocol(protocol))
    return invalid(`unknown protocol ${JSON.stringify(protocol)}: want ${Object.keys(PROTOCOLS).join(", ")}`);
  const text = stringField(object, "hostIP");
  return {
    hostPort: port("hostPort"),
    containerPort: port("containerPort"),
    protocol,
    ...(text ? hostIpOf(text) : {}),
  };
}

/** `0.0.0.0` and `::` are no destination but mean "any of this family"; the family is kept by whoever reads it. */
function hostIpOf(text: string): Pick<PortMapping, "hostIp"> {
  try {
    return { hostIp: parseIp(text) };
  } catch (e) {
    if (e instanceof ParseError) return invalid(`invalid hostIP ${JSON.stringify(text)}: ${e.message}`);
    throw e;
  }
}

function isProtocol(text: string): text is Protocol {
  return text in PROTOCOLS;
}
