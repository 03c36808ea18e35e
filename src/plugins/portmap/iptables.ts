// The reference's chains in table nat:
//
//   PREROUTING, OUTPUT   to an address of the host → CNI-HOSTPORT-DNAT → CNI-DN-<hash> by port: mark, DNAT
//   POSTROUTING          CNI-HOSTPORT-MASQ: masquerade what has the mark
import { ruleTarget } from "../../formats/iptables/index.ts";
import { familyOf, formatPrefix } from "../../formats/netip/index.ts";
import { iptablesChain } from "../rules/keys.ts";
import { commentWords } from "../rules/masquerade-iptables.ts";
import type { Attachment, AttachmentId, IptablesEntry, IptablesRules, IptablesTrace } from "../rules/wanted.ts";
import { type PortMapping, type PortmapConf, readPortmapConf } from "./conf.ts";
import { isUnspecified, type PodAddress, podAddresses } from "./pod-addresses.ts";

const DNAT = "CNI-HOSTPORT-DNAT";
const SETMARK = "CNI-HOSTPORT-SETMARK";
const MASQ = "CNI-HOSTPORT-MASQ";
/** The match `multiport` takes so many. */
const PORTS_MAX = 15;

export function iptablesRules(attachment: Attachment): IptablesRules[] {
  const conf = readPortmapConf(attachment.conf);
  const chain = iptablesChain(attachment, "DN-");
  const comment = commentWords(`dnat name: "${attachment.network}" id: "${attachment.containerId}"`);
  return podAddresses(attachment).flatMap((pod): IptablesRules[] => {
    const family = familyOf(pod.address);
    const mappings = conf.mappings.filter(({ hostIp }) => !hostIp || familyOf(hostIp) === family);
    if (mappings.length === 0) return [];
    const toChain = (protocol: string, ports: readonly number[]): IptablesEntry => ({
      chain: DNAT,
      words: [
        ...["-p", protocol, ...comment, "-m", "multiport", "--dports", ports.join(",")],
        ...conf.conditions[family],
        ...["-j", chain],
      ],
      isFirst: true,
    });
    return [
      {
        family,
        table: "nat",
        shared: sharedRules(conf),
        chains: [{ name: chain, rules: mappings.flatMap((mapping) => mappingRules(pod, mapping, conf)) }],
        // Of both families, as the reference lists them: a port that has no rule in the chain passes it.
        entries: portGroups(conf.mappings).map(([protocol, ports]) => toChain(protocol, ports)),
      },
    ];
  });
}

function sharedRules({ snat, externalSetMarkChain, markMasqBit }: PortmapConf): IptablesRules["shared"] {
  const entries: IptablesEntry[] = ["PREROUTING", "OUTPUT"].map((chain) => ({
    chain,
    words: ["-m", "addrtype", "--dst-type", "LOCAL", "-j", DNAT],
  }));
  if (!snat || externalSetMarkChain) return { chains: [DNAT], entries };
  const mark = `0x${(1n << BigInt(markMasqBit)).toString(16)}`;
  return {
    chains: [DNAT, SETMARK, MASQ],
    entries: [
      ...entries,
      {
        chain: SETMARK,
        words: [...commentWords("CNI portfwd masquerade mark"), "-j", "MARK", "--set-xmark", `${mark}/${mark}`],
      },
      { chain: MASQ, words: ["-m", "mark", "--mark", `${mark}/${mark}`, "-j", "MASQUERADE"] },
      // First: the masquerade rules of networks would accept the packet before.
      {
        chain: "POSTROUTING",
        words: [...commentWords("CNI portfwd requiring masquerade"), "-j", MASQ],
        isFirst: true,
      },
    ],
  };
}

/** Of each protocol as many ports together as one rule takes. */
function portGroups(mappings: readonly PortMapping[]): [string, number[]][] {
  const byProtocol = new Map<string, number[]>();
  for (const { protocol, hostPort } of mappings) {
    const ports = byProtocol.get(protocol) ?? [];
    if (!ports.includes(hostPort)) ports.push(hostPort);
    byProtocol.set(protocol, ports);
  }
  return [...byProtocol]
    .sort()
    .flatMap(([protocol, ports]) =>
      Array.from({ length: Math.ceil(ports.length / PORTS_MAX) }, (_, i): [string, number[]] => [
        protocol,
        ports.slice(i * PORTS_MAX, (i + 1) * PORTS_MAX),
      ]),
    );
}

function mappingRules({ address, subnet }: PodAddress, mapping: PortMapping, conf: PortmapConf): string[][] {
  const family = familyOf(address);
  const { protocol, hostPort, containerPort, hostIp } = mapping;
  const to = hostIp && !isUnspecified(hostIp) ? ["-d", `${hostIp}/${family === 4 ? 32 : 128}`] : [];
  const match = [...to, "-p", protocol, "-m", protocol, "--dport", String(hostPort)];
  const mark = ["-j", conf.externalSetMarkChain ?? SETMARK];
  const sources = conf.masqAll
    ? [[]]
    : [["-s", formatPrefix(subnet)], ...(family === 4 ? [["-s", "127.0.0.1/32"]] : [])];
  const destination = family === 4 ? `${address}:${containerPort}` : `[${address}]:${containerPort}`;
  return [
    ...(conf.snat ? sources.map((source) => [...source, ...match, ...mark]) : []),
    [...match, "-j", "DNAT", "--to-destination", destination],
  ];
}

export function iptablesTraces(id: AttachmentId): IptablesTrace[] {
  const chain = iptablesChain(id, "DN-");
  return ([4, 6] as const).map((family) => ({
    family,
    table: "nat",
    landmark: chain,
    isOwn: (rule) => rule.chain === DNAT && ruleTarget(rule.words) === chain,
    isOwnChain: (name) => name === chain,
  }));
}
