import { formatPrefix, type IpFamily, type Prefix } from "../formats/netip/index.ts";
import { type MasqueradeConfig, type MasqueradeNetwork, MULTICAST, networksOf, nonMasqueradeOf } from "./config.ts";

/** A chain of Flannel's, which the parent's jump leads to. */
export interface FlannelChain {
  readonly table: "nat" | "filter";
  readonly chain: string;
  readonly parent: string;
  /** On the jump and on every rule. */
  readonly comment: string;
}

/** Flannel's own names, so that either daemon finds and replaces what the other left. */
export const MASQUERADE_CHAIN: FlannelChain = {
  table: "nat",
  chain: "FLANNEL-POSTRTG",
  parent: "POSTROUTING",
  comment: "flanneld masq",
};
export const FORWARD_CHAIN: FlannelChain = {
  table: "filter",
  chain: "FLANNEL-FWD",
  parent: "FORWARD",
  comment: "flanneld forward",
};
export const FLANNEL_CHAINS: readonly FlannelChain[] = [MASQUERADE_CHAIN, FORWARD_CHAIN];

/** One of them with its rules, as words of iptables-save. */
export interface WantedChain extends FlannelChain {
  readonly rules: readonly (readonly string[])[];
}

/** What `config` wants in one family's tables; nothing for a family that it has not. */
export function wantedChains(config: MasqueradeConfig, family: IpFamily): WantedChain[] {
  const net = networksOf(config).find((candidate) => candidate.family === family);
  if (!net) return [];
  return [
    ...(config.ipMasq ? [chainWith(MASQUERADE_CHAIN, masqueradeRules(net, family, config))] : []),
    ...(config.forwardRules ? [chainWith(FORWARD_CHAIN, forwardRules(net.network))] : []),
  ];
}

/** `-m comment --comment "flanneld masq" -j FLANNEL-POSTRTG` */
export function jumpTo({ chain, comment }: FlannelChain): readonly string[] {
  return ["-m", "comment", "--comment", comment, "-j", chain];
}

/** What a rule matches, and its target with options. */
type RuleParts = readonly [match: readonly string[], target: readonly string[]];

function chainWith(chain: FlannelChain, rules: readonly RuleParts[]): WantedChain {
  const comment = ["-m", "comment", "--comment", chain.comment];
  return { ...chain, rules: rules.map(([match, target]) => [...match, ...comment, "-j", ...target]) };
}

/**
 * Flannel's, in its order: what somebody else masquerades; between pods, here or elsewhere; from outside to a pod of this
 * node; then from a pod to the outside, and from outside to a pod of another node. The destinations that are left alone
 * stand before the first rule that masquerades what pods send.
 */
function masqueradeRules(
  { network, subnet }: MasqueradeNetwork,
  family: IpFamily,
  config: MasqueradeConfig,
): RuleParts[] {
  const [N, P] = [formatPrefix(network), formatPrefix(subnet)];
  const masquerade = ["MASQUERADE", ...((config.randomFully ?? true) ? ["--random-fully"] : [])];
  return [
    [["-m", "mark", "--mark", "0x4000/0x4000"], ["RETURN"]],
    [["-s", P, "-d", N], ["RETURN"]],
    [["-s", N, "-d", P], ["RETURN"]],
    [["!", "-s", N, "-d", P], ["RETURN"]],
    ...nonMasqueradeOf(config, family).map((prefix): RuleParts => [["-s", N, "-d", formatPrefix(prefix)], ["RETURN"]]),
    [["-s", N, "!", "-d", MULTICAST[family]], masquerade],
    [["!", "-s", N, "-d", N], masquerade],
  ];
}

function forwardRules(network: Prefix): RuleParts[] {
  const N = formatPrefix(network);
  return [
    [["-s", N], ["ACCEPT"]],
    [["-d", N], ["ACCEPT"]],
  ];
}
