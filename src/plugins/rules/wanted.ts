// Which netfilter rules an attachment wants, as values. Plugins say it here; nft-rules.ts
// and iptables-rules.ts spell it, host-rules.ts does it.
import type { NetConf, Result } from "../../formats/cni/index.ts";
import type { IptablesRule } from "../../formats/iptables/index.ts";
import type { IpFamily } from "../../formats/netip/index.ts";
import type { RuleMark } from "../../formats/netlink/index.ts";
import type { Chain, Family, Rule, Table } from "../../formats/nftables/index.ts";

/** An interface in a container in a network. Rules are known by it, and never by the namespace: DEL may not be told one. */
export interface AttachmentId {
  readonly network: string;
  readonly containerId: string;
  readonly ifName: string;
}

/** What one plugin's ADD was asked and answered: enough to say at any time which rules the attachment wants. */
export interface Attachment extends AttachmentId {
  /** CNI_NETNS. */
  readonly netns: string;
  readonly conf: NetConf;
  readonly result: Result;
}

/** What may be known of an attachment that is to go. */
export interface KnownAttachment extends AttachmentId {
  readonly result?: Result | undefined;
}

/** The rules of one attachment in one table. */
export interface NftRules {
  readonly table: Table;
  /** Of all attachments: chains, and the rules in them that are nobody's own. They are written anew with every ADD. */
  readonly shared: { readonly chains: readonly Chain[]; readonly rules: readonly Rule[] };
  /** Of this attachment alone. Its rules elsewhere have a comment that isOwn() knows. */
  readonly chains: readonly Chain[];
  readonly rules: readonly Rule[];
  /** Before the rules that are there already. */
  readonly isFirst?: boolean;
}

/** How rules are told from others' in one table. */
export interface NftTrace {
  readonly family: Family;
  readonly table: string;
  readonly isOwn: (mark: RuleMark) => boolean;
  /** Chains that go as a whole. */
  readonly isOwnChain?: (chain: string) => boolean;
}

/** A rule of iptables in a chain that is not its attachment's alone. */
export interface IptablesEntry {
  readonly chain: string;
  readonly words: readonly string[];
  readonly isFirst?: boolean;
}

/** The rules of one attachment in one table of one family's iptables. */
export interface IptablesRules {
  readonly family: IpFamily;
  readonly table: "nat" | "filter";
  /** Of all attachments: made when they are missing, and never taken away. */
  readonly shared: { readonly chains: readonly string[]; readonly entries: readonly IptablesEntry[] };
  /** Of this attachment alone, with all their rules. */
  readonly chains: readonly { readonly name: string; readonly rules: readonly (readonly string[])[] }[];
  readonly entries: readonly IptablesEntry[];
}

/** How they are told from others'. */
export interface IptablesTrace {
  readonly family: IpFamily;
  readonly table: "nat" | "filter";
  /** Without this chain there is none of them. */
  readonly landmark: string;
  readonly isOwn: (rule: IptablesRule) => boolean;
  readonly isOwnChain: (chain: string) => boolean;
}

export interface WantedRules {
  readonly nft: readonly NftRules[];
  readonly iptables?: readonly IptablesRules[];
}

export interface RuleTraces {
  readonly nft: readonly NftTrace[];
  readonly iptables?: readonly IptablesTrace[];
}

/** A plugin's part in netfilter. Pure. */
export interface RuleMaker {
  readonly wanted: (attachment: Attachment) => WantedRules;
  /** Finds what `wanted` makes, whatever the configuration said then, by us and by the reference plugin. */
  readonly traces: (known: KnownAttachment) => RuleTraces;
  /** Finds the rules of a network that none of the `valid` attachments wants; absent when rules do not tell their network. */
  readonly strays?: (network: string, valid: readonly AttachmentId[]) => RuleTraces;
}
