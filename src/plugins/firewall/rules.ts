// The reference's chains in table filter:
//
//   FORWARD → CNI-ISOLATION-STAGE-1 → from this bridge to another → STAGE-2 → to this bridge: DROP
//           → CNI-FORWARD → CNI-ADMIN, then: to the container what it asked for, from the container everything
//
// A rule names nothing but an address, so who deletes it must know the address: from prevResult, or from the record.
import { ruleMeaning } from "../../formats/iptables/index.ts";
import { type IpFamily, prefixBits, prefixFamily } from "../../formats/netip/index.ts";
import type { RuleOwner } from "../rules/host-rules.ts";
import { commentWords } from "../rules/masquerade-iptables.ts";
import type { Attachment, IptablesEntry, IptablesRules, IptablesTrace, KnownAttachment } from "../rules/wanted.ts";
import { type IngressPolicy, readFirewallConf } from "./conf.ts";

const FORWARD = "CNI-FORWARD";
const [STAGE_1, STAGE_2] = ["CNI-ISOLATION-STAGE-1", "CNI-ISOLATION-STAGE-2"];

export const FIREWALL_RULES: RuleOwner = {
  plugin: "firewall",
  maker: {
    wanted: (attachment) => ({ nft: [], iptables: FAMILIES.flatMap((family) => rulesOf(attachment, family)) }),
    traces: (known) => ({ nft: [], iptables: FAMILIES.map((family) => traceOf(known, family)) }),
  },
};

const FAMILIES = [4, 6] as const;

function rulesOf(attachment: Attachment, family: IpFamily): IptablesRules[] {
  const entries = addressEntries(attachment, family);
  if (entries.length === 0) return [];
  const { adminChain, ingressPolicy } = readFirewallConf(attachment.conf);
  const bridge = attachment.result.interfaces.find(({ sandbox }) => !sandbox)?.name;
  const isolation = ingressPolicy === "open" || !bridge ? undefined : isolationOf(bridge, ingressPolicy);
  return [
    {
      family,
      table: "filter",
      shared: {
        chains: [FORWARD, adminChain, ...(isolation ? [STAGE_1, STAGE_2] : [])],
        entries: [
          { chain: "FORWARD", words: [...commentWords("CNI firewall plugin rules"), "-j", FORWARD], isFirst: true },
          {
            chain: FORWARD,
            words: [...commentWords("CNI firewall plugin admin overrides"), "-j", adminChain],
            isFirst: true,
          },
          ...(isolation ?? []),
        ],
      },
      chains: [],
      entries,
    },
  ];
}

/** Each bridge's rules stay: those of its other containers, and of its next, are the same. */
function isolationOf(bridge: string, policy: IngressPolicy): IptablesEntry[] {
  const comment = commentWords(`CNI firewall plugin rules (ingressPolicy: ${policy})`);
  const elsewhere = policy === "same-bridge" ? ["!", "-o", bridge] : [];
  return [
    { chain: "FORWARD", words: [...comment, "-j", STAGE_1], isFirst: true },
    { chain: STAGE_1, words: ["-i", bridge, ...elsewhere, ...comment, "-j", STAGE_2], isFirst: true },
    { chain: STAGE_1, words: [...comment, "-j", "RETURN"] },
    { chain: STAGE_2, words: ["-o", bridge, ...comment, "-j", "DROP"], isFirst: true },
    { chain: STAGE_2, words: [...comment, "-j", "RETURN"] },
  ];
}

function addressEntries({ result }: KnownAttachment, family: IpFamily): IptablesEntry[] {
  return (result?.ips ?? [])
    .filter(({ address }) => prefixFamily(address) === family)
    .flatMap(({ address }): IptablesEntry[] => {
      const host = `${address.address}/${prefixBits(address)}`;
      return [
        {
          chain: FORWARD,
          words: ["-d", host, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"],
        },
        { chain: FORWARD, words: ["-s", host, "-j", "ACCEPT"] },
      ];
    });
}

function traceOf(known: KnownAttachment, family: IpFamily): IptablesTrace {
  const own = new Set(addressEntries(known, family).map(({ words }) => ruleMeaning(words)));
  return {
    family,
    table: "filter",
    landmark: FORWARD,
    isOwn: ({ chain, words }) => chain === FORWARD && own.has(ruleMeaning(words)),
    isOwnChain: () => false,
  };
}
