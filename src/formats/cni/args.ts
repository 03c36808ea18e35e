import { CNI_ERROR, CniError } from "./errors.ts";

function fail(why: string): never {
  throw new CniError(CNI_ERROR.invalidEnvironment, `Cannot read CNI_ARGS: ${why}`);
}

/** `K=V;K2=V2`; each part exactly one pair. */
export function parseCniArgs(text: string): ReadonlyMap<string, string> {
  if (text === "") return new Map();
  return new Map(
    text.split(";").map((pair): [string, string] => {
      const [key, value, ...more] = pair.split("=");
      if (!key || value === undefined || more.length > 0)
        return fail(`${JSON.stringify(pair)} is no pair; want KEY=VALUE;KEY=VALUE`);
      return [key, value];
    }),
  );
}

function parseFlag(value: string): boolean {
  if (/^(1|true)$/i.test(value)) return true;
  if (/^(0|false)$/i.test(value)) return false;
  return fail(`IgnoreUnknown must be true or false, not ${JSON.stringify(value)}`);
}

/** Those of CNI_ARGS that a plugin knows, e.g. IP and MAC. A key it does not know is an error unless IgnoreUnknown=1. */
export function knownArgs<K extends string>(text: string, known: readonly K[]): { readonly [key in K]?: string } {
  const args = parseCniArgs(text);
  const unknown = [...args.keys()].filter(
    (key) => key !== "IgnoreUnknown" && !(known as readonly string[]).includes(key),
  );
  if (unknown.length > 0 && !parseFlag(args.get("IgnoreUnknown") ?? "0"))
    return fail(`this plugin does not know ${unknown.join(", ")}; add IgnoreUnknown=1 to have them ignored`);
  return Object.fromEntries(known.flatMap((key) => (args.has(key) ? [[key, args.get(key)]] : []))) as {
    [key in K]?: string;
  };
}
