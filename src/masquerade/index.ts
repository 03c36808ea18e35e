/**
 * The masquerade and forward rules of one node: Flannel's traffic manager, its tables `ip flannel-ipv4` and
 * `ip6 flannel-ipv6` rule by rule, kept against drift by nftables' own notifications.
 *
 * Knows nothing of leases or backends: it is told the network and the node's subnet.
 */
export * from "./masquerade.ts";
export * from "./ruleset.ts";
