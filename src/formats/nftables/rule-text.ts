import type { Prefix } from "../netip/index.ts";
import type { Datum } from "./objects.ts";

declare const ruleText: unique symbol;
/** Rule text made by `rule`: its fixed parts are the programmer's, its variable parts were checked. */
export type RuleText = string & { readonly [ruleText]: true };

/** What may be put into a rule: numbers, addresses, prefixes, names, lists of them (`{ a, b }`), checked rule text. */
export type RulePart = Datum | Prefix | RuleText | readonly (Datum | Prefix)[];

/** rule`ip saddr ${subnet} return`: rule text in which nothing variable can change the grammar. */
export function rule(strings: TemplateStringsArray, ...parts: readonly RulePart[]): RuleText {
  return String.raw({ raw: strings }, ...parts) as RuleText;
}
