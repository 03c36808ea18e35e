import { formatPrefix, maskPrefix, ParseError, parsePrefix } from "../netip/index.ts";

/** The long forms of what iptables-save writes short. */
const SHORT: Readonly<Record<string, string>> = {
  "--source": "-s",
  "--src": "-s",
  "--destination": "-d",
  "--dst": "-d",
  "--jump": "-j",
  "--goto": "-g",
  "--match": "-m",
  "--in-interface": "-i",
  "--out-interface": "-o",
  "--protocol": "-p",
  "--proto": "-p",
};

interface RuleOption {
  readonly name: string;
  readonly isNegated: boolean;
  readonly values: readonly string[];
}

/**
 * What a rule says, for comparing: iptables prints the matches of one rule in an order that depends on its version and
 * variant, and so it does `-m`, numbers and masks.
 */
export function ruleMeaning(words: readonly string[]): string {
  return optionsOf(words)
    .filter(({ name }) => name !== "-m")
    .map(({ name, isNegated, values }) => JSON.stringify([isNegated ? "!" : "", name, ...values.map(plain(name))]))
    .sort()
    .join(" ");
}

/** The chain or target a rule leads to, by -j or -g. */
export function ruleTarget(words: readonly string[]): string | undefined {
  return optionsOf(words).find(({ name }) => name === "-j" || name === "-g")?.values[0];
}

export function ruleComment(words: readonly string[]): string | undefined {
  return optionsOf(words).find(({ name }) => name === "--comment")?.values[0];
}

function optionsOf(words: readonly string[]): RuleOption[] {
  const options: { name: string; isNegated: boolean; values: string[] }[] = [];
  let isNegated = false;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    const last = options.at(-1);
    if (word === "!") isNegated = true;
    else if (word.startsWith("-") || !last) {
      const option = { name: SHORT[word] ?? word, isNegated, values: [] as string[] };
      options.push(option);
      isNegated = false;
      // Its value is anybody's text, and may look like anything.
      if (option.name === "--comment") option.values.push(words[++i] ?? "");
    } else last.values.push(word);
  }
  return options;
}

/** Values that can be written in more than one way, in one. */
function plain(name: string): (value: string) => string {
  return (value) => {
    if (name === "-s" || name === "-d") return plainPrefix(value);
    if (name === "--mark") return value.split("/").map(plainNumber).join("/");
    return value;
  };
}

function plainNumber(text: string): string {
  return /^(0x[0-9a-fA-F]+|\d+)$/.test(text) ? String(Number(text)) : text;
}

/** `10.5.0.0/255.255.0.0` is how iptables before 1.4 wrote it. */
function plainPrefix(text: string): string {
  const [address = "", length] = text.split("/");
  try {
    const bits = length ?? (address.includes(":") ? "128" : "32");
    return formatPrefix(maskPrefix(parsePrefix(`${address}/${bits.includes(".") ? maskLength(bits) : bits}`)));
  } catch (error) {
    if (error instanceof ParseError) return text;
    throw error;
  }
}

function maskLength(mask: string): string {
  const bits = mask
    .split(".")
    .map((byte) => Number(byte).toString(2).padStart(8, "0"))
    .join("");
  return /^1*0*$/.test(bits) && bits.length === 32 ? String(bits.lastIndexOf("1") + 1) : mask;
}
