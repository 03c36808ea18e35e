// The reference plugins' ipMasq: `table inet cni_plugins_masquerade`, a rule an address.
import { CNI_ERROR, CniError, field, type NetConf, stringField } from "../../formats/cni/index.ts";
import { maskPrefix, prefixFamily } from "../../formats/netip/index.ts";
import { type Chain, type Rule, rule } from "../../formats/nftables/index.ts";
import { attachmentKey, networkKey } from "./keys.ts";
import { masqueradeIptables, masqueradeIptablesTraces } from "./masquerade-iptables.ts";
import type { Attachment, AttachmentId, NftRules, NftTrace, RuleMaker } from "./wanted.ts";

const PLACE = { family: "inet", table: "cni_plugins_masquerade" } as const;
const CHECKS = "masq_checks";
const POSTROUTING = "postrouting";

const CHAINS: readonly Chain[] = [
  {
    kind: "chain",
    ...PLACE,
    name: CHECKS,
    comment: "Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet",
  },
  {
    kind: "chain",
    ...PLACE,
    name: POSTROUTING,
    base: { type: "nat", hook: "postrouting", priority: "srcnat", policy: "accept" },
  },
];

const SHARED: readonly Rule[] = [
  rule`ip daddr 224.0.0.0/4 return`,
  rule`ip6 daddr ff00::/8 return`,
  rule`goto masq_checks`,
].map((text) => ({ kind: "rule", ...PLACE, chain: POSTROUTING, text }));

/** `ipMasqBackend`; ours is nftables unless the configuration says iptables. @throws {CniError} code 7 */
export function masqueradeBackend(conf: NetConf): "nftables" | "iptables" {
  const backend = stringField(conf.raw, "ipMasqBackend") || "nftables";
  if (backend === "nftables" || backend === "iptables") return backend;
  throw new CniError(
    CNI_ERROR.invalidNetworkConfig,
    `unknown ipMasqBackend ${JSON.stringify(backend)}: want "nftables" or "iptables"`,
  );
}

export function wantsMasquerade({ raw }: NetConf): boolean {
  return field(raw, "ipMasq") === true;
}

export const masquerade: RuleMaker = {
  wanted: (attachment) => {
    if (!wantsMasquerade(attachment.conf) || attachment.result.ips.length === 0) return { nft: [] };
    return masqueradeBackend(attachment.conf) === "iptables"
      ? { nft: [], iptables: masqueradeIptables(attachment) }
      : { nft: [nftRules(attachment)] };
  },
  traces: (id) => ({
    nft: [traceOf((comment) => comment.startsWith(attachmentKey(id)))],
    iptables: masqueradeIptablesTraces(id),
  }),
  strays: (network, valid) => {
    const wanted = valid.map(({ containerId, ifName }) => attachmentKey({ network, containerId, ifName }));
    const isStray = (comment: string): boolean =>
      comment.startsWith(`${networkKey(network)}-`) && !wanted.some((key) => comment.startsWith(key));
    return { nft: [traceOf(isStray)] };
  },
};

function nftRules(attachment: Attachment): NftRules {
  const comment = commentOf(attachment);
  const rules = attachment.result.ips.map(({ address }): Rule => {
    const ip = prefixFamily(address) === 4 ? rule`ip` : rule`ip6`;
    const text = rule`${ip} saddr ${address.address} ${ip} daddr != ${maskPrefix(address)} masquerade`;
    return { kind: "rule", ...PLACE, chain: CHECKS, text, comment };
  });
  return {
    table: {
      kind: "table",
      family: PLACE.family,
      name: PLACE.table,
      comment: "Masquerading for plugins from github.com/containernetworking/plugins",
    },
    shared: { chains: CHAINS, rules: SHARED },
    chains: [],
    rules,
  };
}

/** The hashes count; what follows is for people. Comments are cut at nft's 128 bytes. */
function commentOf(id: AttachmentId): string {
  const text = `${attachmentKey(id)}, net: ${id.network}, if: ${id.ifName}, id: ${id.containerId}`;
  return text.replace(/[^\x20-\x7e]|"/g, "").slice(0, 128);
}

function traceOf(isOwn: (comment: string) => boolean): NftTrace {
  return { ...PLACE, isOwn: ({ chain, comment = "" }) => chain === CHECKS && isOwn(comment) };
}
