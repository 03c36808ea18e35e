// The reference's tables `ip cni_hostport` and `ip6 cni_hostport`, in the order a packet meets them:
//
//   prerouting, output    to an address of the host? → hostports_all → hostip_hostports, then hostports: dnat
//   masquerading          from the pod to its own host port, and from 127.0.0.1: masquerade
//
// Rules are known by a comment that is the container's ID. A condition stands in the rule itself, where the reference
// puts it before everybody's rules.
import { familyOf, type IpAddress, type IpFamily } from "../../formats/netip/index.ts";
import { type Chain, condition, joined, type Rule, type RuleText, rule } from "../../formats/nftables/index.ts";
import type { Attachment, AttachmentId, NftRules, NftTrace } from "../rules/wanted.ts";
import { type PortMapping, type PortmapConf, readPortmapConf } from "./conf.ts";
import { isUnspecified, type PodAddress, podAddresses } from "./pod-addresses.ts";

const TABLE = "cni_hostport";
const HOSTPORTS = "hostports";
const HOSTIP_HOSTPORTS = "hostip_hostports";
const HOSTPORTS_ALL = "hostports_all";
const MASQUERADING = "masquerading";
const DSTNAT = -100; // nft has a name for it, but not in the output hook

type Ip = "ip" | "ip6";

export function nftRules(attachment: Attachment): NftRules[] {
  const conf = readPortmapConf(attachment.conf);
  return podAddresses(attachment).flatMap((pod) => {
    const { address } = pod;
    const family = familyOf(address);
    const mappings = conf.mappings.filter(({ hostIp }) => !hostIp || familyOf(hostIp) === family);
    if (mappings.length === 0) return [];
    const place: Place = { family: family === 4 ? "ip" : "ip6", version: family, comment: attachment.containerId };
    return [
      {
        table: { kind: "table", family: place.family, name: TABLE, comment: "CNI portmap plugin" },
        shared: shared(place.family, conf),
        chains: [],
        rules: [
          ...mappings.map((mapping) => dnat(place, address, mapping, conf)),
          ...(conf.snat ? masquerading(place, pod, conf) : []),
        ],
        isFirst: true, // of two containers that want one port the later has it, as with the reference
      } satisfies NftRules,
    ];
  });
}

export function nftTraces({ containerId }: AttachmentId): NftTrace[] {
  const chains = [HOSTPORTS, HOSTIP_HOSTPORTS, MASQUERADING];
  const isOwn: NftTrace["isOwn"] = ({ chain, comment }) => chains.includes(chain) && comment === containerId;
  return (["ip", "ip6"] as const).map((family) => ({ family, table: TABLE, isOwn }));
}

interface Place {
  readonly family: Ip;
  readonly version: IpFamily;
  readonly comment: string;
}

function shared(family: Ip, { snat }: PortmapConf): NftRules["shared"] {
  const place = { family, table: TABLE } as const;
  const chain = (name: string, base?: Chain["base"]): Chain => ({
    kind: "chain",
    ...place,
    name,
    ...(base && { base }),
  });
  const into = (name: string, text: RuleText): Rule => ({ kind: "rule", ...place, chain: name, text });
  const nat = (hook: "prerouting" | "output" | "postrouting", priority: number | string): Chain["base"] => ({
    type: "nat",
    hook,
    priority,
  });
  const entry = rule`fib daddr type local jump hostports_all`;
  return {
    chains: [
      chain(HOSTPORTS),
      chain(HOSTIP_HOSTPORTS),
      chain(HOSTPORTS_ALL),
      chain("prerouting", nat("prerouting", "dstnat")),
      chain("output", nat("output", DSTNAT)),
      ...(snat ? [chain(MASQUERADING, nat("postrouting", "srcnat"))] : []),
    ],
    rules: [
      into(HOSTPORTS_ALL, rule`jump hostip_hostports`),
      into(HOSTPORTS_ALL, rule`jump hostports`),
      into("prerouting", entry),
      into("output", entry),
    ],
  };
}

function dnat({ family, version, comment }: Place, pod: IpAddress, mapping: PortMapping, conf: PortmapConf): Rule {
  const { hostIp, protocol, hostPort, containerPort } = mapping;
  const isOfOne = hostIp !== undefined && !isUnspecified(hostIp);
  const matches = joined([
    ...conf.conditions[version].map(condition),
    ...(isOfOne ? [rule`${family} daddr ${hostIp}`] : []),
    rule`${protocol} dport ${hostPort}`,
  ]);
  const text =
    version === 4
      ? rule`${matches} dnat to ${pod}:${containerPort}`
      : rule`${matches} dnat to [${pod}]:${containerPort}`;
  return { kind: "rule", family, table: TABLE, chain: isOfOne ? HOSTIP_HOSTPORTS : HOSTPORTS, text, comment };
}

/**
 * The pod's neighbours on the bridge would get its answers directly, untranslated, and so would the pod itself; and an
 * answer to 127.0.0.1 would not leave the pod. `ct status dnat`: their direct connections keep their source.
 */
function masquerading({ family, comment }: Place, { address, subnet }: PodAddress, conf: PortmapConf): Rule[] {
  const from = (source: RuleText): Rule => ({
    kind: "rule",
    family,
    table: TABLE,
    chain: MASQUERADING,
    text: rule`${source}${family} daddr ${address} ct status dnat masquerade`,
    comment,
  });
  if (conf.masqAll) return [from(rule``)];
  return [from(rule`${family} saddr ${subnet} `), ...(family === "ip" ? [from(rule`ip saddr 127.0.0.0/8 `)] : [])];
}
