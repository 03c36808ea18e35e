// ipMasq and macspoofchk.
import { field, type NetConf } from "../../formats/cni/index.ts";
import { parseMac } from "../../formats/netip/index.ts";
import { type Chain, device, named, type Rule, rule } from "../../formats/nftables/index.ts";
import type { RuleOwner } from "../rules/host-rules.ts";
import { masquerade, wantsMasquerade } from "../rules/masquerade.ts";
import type { Attachment, AttachmentId, NftRules, NftTrace, RuleMaker } from "../rules/wanted.ts";

const PLACE = { family: "bridge", table: "nat" } as const;
const PREROUTING = "PREROUTING";

export function wantsRules(conf: NetConf): boolean {
  return wantsMasquerade(conf) || wantsSpoofCheck(conf);
}

export function wantsSpoofCheck({ raw }: NetConf): boolean {
  return field(raw, "macspoofchk") === true;
}

const maker: RuleMaker = {
  wanted: (attachment) => {
    const { nft, ...others } = masquerade.wanted(attachment);
    return { ...others, nft: [...nft, ...(wantsSpoofCheck(attachment.conf) ? spoofCheckRules(attachment) : [])] };
  },
  traces: (id) => {
    const { nft, ...others } = masquerade.traces(id);
    return { ...others, nft: [...nft, spoofCheckTrace(id)] };
  },
  ...(masquerade.strays ? { strays: masquerade.strays } : {}),
};

export const BRIDGE_RULES: RuleOwner = { plugin: "bridge", maker };

/** The reference's names. A frame that the pod sends goes PREROUTING → the interface's chain → its MAC's. */
function namesOf({ containerId, ifName }: AttachmentId): { interfaceChain: string; macChain: string; comment: string } {
  const interfaceChain = `cni-br-iface-${containerId}-${ifName}`;
  return { interfaceChain, macChain: `${interfaceChain}-mac`, comment: `macspoofchk-${containerId}-${ifName}` };
}

function spoofCheckRules(attachment: Attachment): NftRules[] {
  const { interfaceChain, macChain, comment } = namesOf(attachment);
  const [, port, pod] = attachment.result.interfaces;
  if (!port || !pod?.mac) return [];
  const chain = (name: string): Chain => ({ kind: "chain", ...PLACE, name });
  const ruleIn = (name: string, text: Rule["text"]): Rule => ({ kind: "rule", ...PLACE, chain: name, text, comment });
  return [
    {
      table: { kind: "table", family: PLACE.family, name: PLACE.table },
      shared: {
        chains: [
          {
            ...chain(PREROUTING),
            base: { type: "filter", hook: "prerouting", priority: -300, policy: "accept" },
          },
        ],
        rules: [],
      },
      chains: [chain(macChain), chain(interfaceChain)],
      rules: [
        ruleIn(PREROUTING, rule`iifname ${device(port.name)} jump ${named(interfaceChain)}`),
        ruleIn(interfaceChain, rule`jump ${named(macChain)}`),
        ruleIn(macChain, rule`ether saddr ${parseMac(pod.mac)} return`),
        ruleIn(macChain, rule`drop`),
      ],
    },
  ];
}

function spoofCheckTrace(id: AttachmentId): NftTrace {
  const { interfaceChain, macChain, comment } = namesOf(id);
  return {
    ...PLACE,
    isOwn: (mark) => mark.comment === comment,
    isOwnChain: (chain) => chain === interfaceChain || chain === macChain,
  };
}
