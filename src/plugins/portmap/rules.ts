import type { RuleOwner } from "../rules/host-rules.ts";
import { nftRules, nftTraces } from "./nft.ts";

export const PORTMAP_RULES: RuleOwner = {
  plugin: "portmap",
  maker: {
    wanted: (attachment) => ({ nft: nftRules(attachment) }),
    traces: (id) => ({ nft: nftTraces(id) }),
  },
};
