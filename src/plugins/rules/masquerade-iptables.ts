// ipMasq by iptables, the reference's chains: POSTROUTING → CNI-<hash> → ACCEPT within the subnet, MASQUERADE beyond.
import { ruleTarget } from "../../formats/iptables/index.ts";
import { formatPrefix, maskPrefix, prefixBits, prefixFamily } from "../../formats/netip/index.ts";
import { iptablesChain } from "./keys.ts";
import type { Attachment, AttachmentId, IptablesRules, IptablesTrace } from "./wanted.ts";

const MULTICAST = { 4: "224.0.0.0/4", 6: "ff00::/8" } as const;

export function masqueradeIptables(attachment: Attachment): IptablesRules[] {
  const chain = iptablesChain(attachment);
  const comment = commentWords(`name: "${attachment.network}" id: "${attachment.containerId}"`);
  return ([4, 6] as const).flatMap((family): IptablesRules[] => {
    const addresses = attachment.result.ips.map(({ address }) => address).filter((ip) => prefixFamily(ip) === family);
    if (addresses.length === 0) return [];
    const subnets = [...new Set(addresses.map((address) => formatPrefix(maskPrefix(address))))];
    return [
      {
        family,
        table: "nat",
        shared: { chains: [], entries: [] },
        chains: [
          {
            name: chain,
            rules: [
              ...subnets.map((subnet) => ["-d", subnet, ...comment, "-j", "ACCEPT"]),
              ["!", "-d", MULTICAST[family], ...comment, "-j", "MASQUERADE"],
            ],
          },
        ],
        entries: addresses.map((address) => ({
          chain: "POSTROUTING",
          words: ["-s", `${address.address}/${prefixBits(address)}`, ...comment, "-j", chain],
        })),
      },
    ];
  });
}

export function masqueradeIptablesTraces(id: AttachmentId): IptablesTrace[] {
  const chain = iptablesChain(id);
  return ([4, 6] as const).map((family) => ({
    family,
    table: "nat",
    landmark: chain,
    isOwn: (rule) => rule.chain === "POSTROUTING" && ruleTarget(rule.words) === chain,
    isOwnChain: (name) => name === chain,
  }));
}

/** iptables takes 255 characters. */
const COMMENT_MAX = 255;

export function commentWords(text: string): string[] {
  return ["-m", "comment", "--comment", text.slice(0, COMMENT_MAX)];
}
