// The fixed part of `table ip podpath-gateway`: its chains, and which maps it has. docs/nftables.md walks through it.
import { type IpFamily, prefixFamily } from "../formats/netip/index.ts";
import {
  type BaseChain,
  type Chain,
  type DataType,
  device,
  type NftObject,
  named,
  type Priority,
  type Rule,
  type RuleText,
  rule,
} from "../formats/nftables/index.ts";
import { type GatewayOptions, type GatewaySet, slotChain } from "./plan.ts";
import { AFFINITY_SLOT_CLASSES, type Affinity, SLOT_CLASSES } from "./slots.ts";

export const GATEWAY_TABLE = "podpath-gateway";

export interface Place {
  readonly family: "ip" | "ip6";
  readonly table: string;
}

export function placeOf(family: IpFamily): Place {
  return { family: family === 4 ? "ip" : "ip6", table: GATEWAY_TABLE };
}

/** kube-proxy's masquerade bit (14). Only this bit of the mark is ours: it is set and taken away, never the others. */
const MASQUERADE_BIT = rule`0x4000`;
/** The same on all nodes and for ever, so that a client meets the same endpoint whichever node it comes through. */
const AFFINITY_SEED = rule`0x706f6470`;

/** The words that differ between the families. */
interface Words {
  readonly ip: RuleText;
  readonly echoRequest: RuleText;
  readonly loopback: RuleText;
}
const WORDS: Readonly<Record<IpFamily, Words>> = {
  4: { ip: rule`ip`, echoRequest: rule`icmp type echo-request`, loopback: rule`127.0.0.0/8` },
  6: { ip: rule`ip6`, echoRequest: rule`icmpv6 type echo-request`, loopback: rule`::1` },
};

/** What a lookup of a ClusterIP's port is made of, and of a NodePort's. */
const NODE_PORT = rule`meta l4proto . th dport`;
function vipPort({ ip }: Words): RuleText {
  return rule`${ip} daddr . meta l4proto . th dport`;
}

/**
 * The sets and maps. In a key `numgen` stands for the slot, whose type is the number a chain draws; never `jhash`,
 * because nft 1.0.6 crashes on listing a set that has it as `typeof`, and takes us along when it is the library.
 */
export function gatewaySets(family: IpFamily): NftObject[] {
  const words = WORDS[family];
  const { ip } = words;
  const slot = rule`numgen random mod 2`;
  const address = rule`${ip} daddr`;
  const addressAndPort: DataType = { typeof: rule`${ip} daddr . th dport` };
  const vip = vipPort(words);
  const place = placeOf(family);
  const set = (name: GatewaySet, key: RuleText): NftObject => ({ kind: "set", ...place, name, key: { typeof: key } });
  const map = (name: GatewaySet, key: RuleText, data: DataType | "verdict"): NftObject => ({
    kind: "map",
    ...place,
    name,
    key: { typeof: key },
    data,
  });
  return [
    set("cluster-ips", address),
    map("service-ips", vip, "verdict"),
    map("service-nodeports", NODE_PORT, "verdict"),
    map("service-icmp", address, "verdict"),
    map("service-endpoints", rule`${vip} . ${slot}`, addressAndPort),
    map("nodeport-endpoints", rule`${NODE_PORT} . ${slot}`, addressAndPort),
    map("icmp-endpoints", rule`${address} . ${slot}`, { typeof: address }),
    map("no-endpoint-services", vip, "verdict"),
    map("no-endpoint-nodeports", NODE_PORT, "verdict"),
    set("hairpin", rule`${ip} saddr . ${ip} daddr`),
  ];
}

/** Chains and rules apart, because a rule may name a chain that comes later. */
export function gatewayChains(family: IpFamily, options: GatewayOptions): { chains: Chain[]; rules: Rule[] } {
  const place = placeOf(family);
  const [chains, rules]: [Chain[], Rule[]] = [[], []];
  const add: AddChain = (name, base, ...texts) => {
    chains.push({ kind: "chain", ...place, name, ...(base ? { base } : {}) });
    for (const text of texts) rules.push({ kind: "rule", ...place, chain: name, text });
  };
  addBaseChains(add, options, WORDS[family]);
  addChecks(add, options, family);
  addServices(add, options, family);
  return { chains, rules };
}

type AddChain = (name: string, base: BaseChain | undefined, ...rules: RuleText[]) => void;

function addBaseChains(add: AddChain, { egress }: GatewayOptions, { ip }: Words): void {
  const filter = (hook: BaseChain["hook"], priority: number): BaseChain => ({ type: "filter", hook, priority });
  const nat = (hook: BaseChain["hook"], priority: Priority): BaseChain => ({ type: "nat", hook, priority });
  add("nat-prerouting", nat("prerouting", "dstnat"), rule`jump services`);
  // dstnat, by number: nft 1.0.6 knows the name in prerouting only.
  add("nat-output", nat("output", -100), rule`jump services`);
  add(
    "filter-input",
    filter("input", -110),
    rule`ct state new jump nodeport-endpoints-check`,
    rule`ct state new jump service-endpoints-check`,
  );
  add(
    "filter-forward",
    filter("forward", -110),
    rule`ct state new jump service-endpoints-check`,
    rule`ct state new jump cluster-ips-check`,
  );
  add("filter-output", filter("output", -110), rule`ct state new jump service-endpoints-check`);
  add("filter-output-post-dnat", filter("output", -90), rule`ct state new jump cluster-ips-check`);
  add(
    "nat-postrouting",
    // Before Flannel's postrtg, which has srcnat too: of equals the kernel takes the one that was added last.
    nat("postrouting", "srcnat - 10"),
    rule`jump masquerading`,
    rule`ct status dnat ${ip} saddr . ${ip} daddr @hairpin masquerade fully-random`,
    ...(egress ? [rule`oifname ${device(egress.device)} fib saddr type != local masquerade fully-random`] : []),
  );
}

function addChecks(add: AddChain, { serviceCidrs = [] }: GatewayOptions, family: IpFamily): void {
  const words = WORDS[family];
  const { ip, loopback } = words;
  const unallocated = serviceCidrs.filter((prefix) => prefixFamily(prefix) === family);
  add("service-endpoints-check", undefined, rule`${vipPort(words)} vmap @no-endpoint-services`);
  add(
    "nodeport-endpoints-check",
    undefined,
    rule`fib daddr type local ${ip} daddr != ${loopback} ${NODE_PORT} vmap @no-endpoint-nodeports`,
  );
  add(
    "cluster-ips-check",
    undefined,
    rule`${ip} daddr @cluster-ips goto reject-chain`,
    ...(unallocated.length > 0 ? [rule`${ip} daddr ${unallocated} drop`] : []),
  );
  add("reject-chain", undefined, rule`meta l4proto tcp reject with tcp reset`, rule`reject`);
}

function addServices(add: AddChain, { clusterCidrs }: GatewayOptions, family: IpFamily): void {
  const words = WORDS[family];
  const { ip, loopback, echoRequest } = words;
  add(
    "services",
    undefined,
    rule`${vipPort(words)} vmap @service-ips`,
    rule`${echoRequest} ${ip} daddr vmap @service-icmp`,
    rule`fib daddr type local ${ip} daddr != ${loopback} ${NODE_PORT} vmap @service-nodeports`,
  );
  const pods = clusterCidrs.filter((prefix) => prefixFamily(prefix) === family);
  const markOutsiders = pods.length > 0 ? rule`${ip} saddr != ${pods} ${MARK}` : MARK;
  const addSlots = (slots: number, affinity: Affinity): void => {
    const slot = affinity === "None" ? rule`numgen random mod ${slots}` : clientSlot(words, slots);
    const dnat = rule`dnat ${ip} to`;
    add(
      slotChain("service", slots, affinity),
      undefined,
      markOutsiders,
      rule`${dnat} ${vipPort(words)} . ${slot} map @service-endpoints`,
    );
    add(
      slotChain("nodeport", slots, affinity),
      undefined,
      MARK,
      rule`${dnat} ${NODE_PORT} . ${slot} map @nodeport-endpoints`,
    );
  };
  for (const slots of SLOT_CLASSES) {
    addSlots(slots, "None");
    add(
      slotChain("icmp", slots, "None"),
      undefined,
      markOutsiders,
      rule`dnat to ${ip} daddr . numgen random mod ${slots} map @icmp-endpoints`,
    );
  }
  for (const slots of AFFINITY_SLOT_CLASSES) addSlots(slots, "ClientIP");
  add("mark-for-masquerade", undefined, rule`meta mark set meta mark | ${MASQUERADE_BIT}`);
  add(
    "masquerading",
    undefined,
    rule`meta mark & ${MASQUERADE_BIT} == 0 return`,
    // The bit goes before the packet does: VXLAN would carry the mark to its outer packet, which then had its own
    // source changed as well.
    rule`meta mark set meta mark ^ ${MASQUERADE_BIT}`,
    rule`masquerade fully-random`,
  );
}

const MARK = rule`jump ${named("mark-for-masquerade")}`;

function clientSlot({ ip }: Words, slots: number): RuleText {
  return rule`jhash ${ip} saddr mod ${slots} seed ${AFFINITY_SEED}`;
}
