/**
 * IP addresses, prefixes and MAC addresses as values (RFC 4291, RFC 5952, IEEE 802).
 *
 * Pure: knows no platform, no other folder. Everything above speaks these types.
 */
export * from "./address.ts";
export * from "./errors.ts";
export * from "./mac.ts";
export * from "./prefix.ts";
