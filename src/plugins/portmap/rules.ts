import type { RuleOwner } from "../rules/host-rules.ts";
import { readPortmapConf } from "./conf.ts";
import { iptablesRules, iptablesTraces } from "./iptables.ts";
import { nftRules, nftTraces } from "./nft.ts";

export const PORTMAP_RULES: RuleOwner = {
  plugin: "portmap",
  maker: {
    wanted: (attachment) =>
      readPortmapConf(attachment.conf).backend === "iptables"
        ? { nft: [], iptables: iptablesRules(attachment) }
        : { nft: nftRules(attachment) },
    traces: (id) => ({ nft: nftTraces(id), iptables: iptablesTraces(id) }),
  },
};
