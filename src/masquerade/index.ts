/**
 * The masquerade and forward rules of one node: Flannel's traffic manager, its tables `ip flannel-ipv4` and
 * `ip6 flannel-ipv6` (nft) or its chains in iptables' tables, rule by rule, kept against drift.
 *
 * Knows nothing of leases or backends: it is told the network and the node's subnet.
 */
export * from "./config.ts";
export * from "./iptables-masquerade.ts";
export * from "./masquerade.ts";
export * from "./nft-masquerade.ts";
export * from "./remains.ts";
export * from "./ruleset.ts";
