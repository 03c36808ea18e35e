import { formatPrefix, type Prefix } from "../netip/index.ts";
import { NftFormatError } from "./errors.ts";
import { checkName, type Datum, printDatum, quoteDevice } from "./names.ts";

/** Text that was checked, or that a programmer wrote. A class, so that no string from elsewhere can pass for it. */
export class RuleText {
  readonly text: string;

  private constructor(text: string) {
    this.text = text;
  }

  /** Only for what names.ts has checked. */
  static trusted(text: string): RuleText {
    return new RuleText(text);
  }

  toString(): string {
    return this.text;
  }
}

/** What may be put into a rule: data, prefixes, lists of them (`{ a, b }`), checked rule text. */
export type RulePart = Datum | Prefix | RuleText | readonly (Datum | Prefix)[];

/** rule`ip saddr ${subnet} return`: rule text in which nothing variable can change the grammar. */
export function rule(strings: TemplateStringsArray, ...parts: readonly RulePart[]): RuleText {
  return RuleText.trusted(String.raw({ raw: strings }, ...parts.map(printPart)));
}

/** The name of a chain, set or map, for use in a rule: rule`jump ${named(chain)}`. */
export function named(name: string): RuleText {
  return RuleText.trusted(checkName(name));
}

/** The quoted name of a network device: rule`oifname ${device("eth1")}`. */
export function device(name: string): RuleText {
  return RuleText.trusted(quoteDevice(name));
}

/** A match that a person wrote, e.g. `ip saddr != 192.0.2.0/24`: words of nft, and nothing that begins another command. */
export function condition(text: string): RuleText {
  if (!/^[\w.:/!=<>@{},+ -]+$/.test(text))
    throw new NftFormatError("condition", text, "want words of nft: letters, digits and . : / ! = < > @ { } , + - _");
  return RuleText.trusted(text);
}

/** Parts of one rule, one after another. */
export function joined(parts: readonly RuleText[]): RuleText {
  return RuleText.trusted(parts.join(" "));
}

function printPart(part: RulePart): string {
  if (part instanceof RuleText) return part.text;
  if (typeof part !== "object") return printDatum(part);
  if (isPrefix(part)) return printDatum(formatPrefix(part));
  return `{ ${part.map(printPart).join(", ")} }`;
}

function isPrefix(part: Prefix | readonly (Datum | Prefix)[]): part is Prefix {
  return !Array.isArray(part);
}
