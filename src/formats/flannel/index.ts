/**
 * Flannel's own texts: the network config, `subnet.env`, subnet keys, lease attributes and the backends' options and data.
 *
 * Pure. Reads what Go's encoding/json would read, writes byte for byte what it would write, so that a node of ours and
 * a Flannel node share one store. Every error names the field and what to do.
 */

export type { AddressPool } from "./address-pool.ts";
export * from "./errors.ts";
export * from "./extension.ts";
export * from "./ipip.ts";
export type { JsonObject, JsonValue } from "./json.ts";
export * from "./lease-attrs.ts";
export * from "./network-config.ts";
export * from "./subnet-env.ts";
export * from "./subnet-key.ts";
export * from "./udp.ts";
export * from "./vxlan.ts";
export * from "./wireguard.ts";
