/**
 * nftables rulesets as objects, to nft text (nft(8)) and from nft JSON (libnftables-json(5)).
 *
 * Pure: knows no platform. Everything variable is checked on its way into the text, so that no name, comment or
 * address that came from a store or a manifest can change what the text means. kernel/ runs what is printed here.
 */
export * from "./errors.ts";
export * from "./json.ts";
export * from "./listing.ts";
export { checkName, type Datum } from "./names.ts";
export * from "./objects.ts";
export * from "./print.ts";
export * from "./rule-text.ts";
export type { Operand, Statement } from "./statements.ts";
