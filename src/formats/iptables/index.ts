/**
 * What iptables-save(8) prints and iptables-restore(8) reads, as tables, chains and rules.
 *
 * Pure: knows no platform. A rule is kept as its words, so that one with matches nobody here knows is read, compared and
 * deleted as well as any other.
 */
export * from "./errors.ts";
export * from "./restore.ts";
export * from "./rule.ts";
export * from "./save.ts";
