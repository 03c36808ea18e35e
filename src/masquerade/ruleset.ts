import { type IpFamily, type Prefix, prefixFamily } from "../formats/netip/index.ts";
import {
  type Chain,
  type Family,
  type NftObject,
  printTransaction,
  type RuleText,
  replaceTable,
  rule,
} from "../formats/nftables/index.ts";
import { type MasqueradeConfig, type MasqueradeNetwork, MULTICAST, networksOf, nonMasqueradeOf } from "./config.ts";

/** Flannel's own names, so that either daemon finds and replaces what the other left. */
export const FLANNEL_TABLES = { ipv4: "flannel-ipv4", ipv6: "flannel-ipv6" } as const;

/**
 * The mark of a packet that somebody else masquerades (kube-proxy, our gateway). Compared exactly, as Flannel's nft
 * mode does, where its iptables mode compares `0x4000/0x4000`. A mark with further bits goes on to the next rules,
 * and they leave it alone as well: a marked packet comes from outside N (rule 4) or is a pod's own (rules 2, 3).
 */
const MASQUERADE_MARK = rule`0x00004000`;

/** nft text of one transaction that puts Flannel's tables, as `config` wants them, in the place of what there is. */
export function masqueradeRuleset(config: MasqueradeConfig): string {
  return networksOf(config)
    .map((net) => printTransaction(tableCommands(net, config)))
    .join("");
}

/** nft text that removes the tables, both by default, whether or not they are there. */
export function masqueradeCleanup(families: readonly IpFamily[] = [4, 6]): string {
  return printTransaction(
    families.map((family) => ({
      verb: "destroy",
      object: {
        kind: "table",
        family: family === 4 ? "ip" : "ip6",
        name: family === 4 ? FLANNEL_TABLES.ipv4 : FLANNEL_TABLES.ipv6,
      },
    })),
  );
}

/** `ip flannel-ipv4`, `ip6 flannel-ipv6`: the tables that `config` needs. */
export function masqueradeTables(config: MasqueradeConfig): { family: Family; table: string }[] {
  return [
    ...(config.ipv4 ? [{ family: "ip" as const, table: FLANNEL_TABLES.ipv4 }] : []),
    ...(config.ipv6 ? [{ family: "ip6" as const, table: FLANNEL_TABLES.ipv6 }] : []),
  ];
}

function tableCommands(
  net: ReturnType<typeof networksOf>[number],
  config: MasqueradeConfig,
): ReturnType<typeof replaceTable> {
  const place =
    net.family === 4
      ? ({ family: "ip", table: FLANNEL_TABLES.ipv4 } as const)
      : ({ family: "ip6", table: FLANNEL_TABLES.ipv6 } as const);
  const contents: NftObject[] = [];
  const chain = (object: Omit<Chain, "kind" | "family" | "table">, rules: readonly RuleText[]): void => {
    contents.push({ kind: "chain", ...place, ...object });
    for (const text of rules) contents.push({ kind: "rule", ...place, chain: object.name, text });
  };
  if (config.ipMasq)
    chain(
      {
        name: "postrtg",
        base: { type: "nat", hook: "postrouting", priority: "srcnat", policy: "accept" },
        comment: "chain to manage traffic masquerading by flannel",
      },
      masqueradeRules(net, config),
    );
  if (config.forwardRules)
    chain(
      {
        name: "forward",
        base: { type: "filter", hook: "forward", priority: "filter", policy: "accept" },
        comment: "chain to accept flannel traffic",
      },
      forwardRules(net.network),
    );
  return replaceTable(
    { kind: "table", family: place.family, name: place.table, comment: `rules for ${place.table}` },
    contents,
  );
}

/**
 * Flannel's six rules, in its order and text. The fourth was meant as "not from the network to this node's subnet"
 * and says "not from this node's subnet to the network", so the sixth is never reached: what comes from outside to a
 * pod of another node keeps its source. Kept so, because a mixed cluster must do one thing; our gateway masquerades
 * such packets in its own table.
 */
function masqueradeRules({ network: N, subnet: P }: MasqueradeNetwork, config: MasqueradeConfig): RuleText[] {
  const family = prefixFamily(N);
  const ip = family === 4 ? rule`ip` : rule`ip6`;
  const masquerade = (config.randomFully ?? true) ? rule`masquerade fully-random` : rule`masquerade`;
  return [
    rule`meta mark ${MASQUERADE_MARK} return`,
    rule`${ip} saddr ${P} ${ip} daddr ${N} return`,
    rule`${ip} saddr ${N} ${ip} daddr ${P} return`,
    rule`${ip} saddr != ${P} ${ip} daddr ${N} return`,
    ...nonMasqueradeOf(config, family).map((prefix) => rule`${ip} saddr ${N} ${ip} daddr ${prefix} return`),
    rule`${ip} saddr ${N} ${ip} daddr != ${MULTICAST[family]} ${masquerade}`,
    rule`${ip} saddr != ${N} ${ip} daddr ${N} ${masquerade}`,
  ];
}

function forwardRules(network: Prefix): RuleText[] {
  const ip = prefixFamily(network) === 4 ? rule`ip` : rule`ip6`;
  return [rule`${ip} saddr ${network} accept`, rule`${ip} daddr ${network} accept`];
}
