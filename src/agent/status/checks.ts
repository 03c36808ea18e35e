// What a node has besides its peers: settings, files and tables, each against what the agent makes of them.
import { readFileSync } from "node:fs";
import { formatSubnetEnv, type SubnetEnv } from "../../formats/flannel/index.ts";
import type { IpFamily } from "../../formats/netip/index.ts";
import { createUnnamedNetNs, Iptables, isNotFound, type NetNs, Nft, readSysctl } from "../../kernel/index.ts";
import { iptablesDrift, type MasqueradeConfig, networksOf } from "../../masquerade/index.ts";
import { messageOf } from "../errors.ts";
import { FORWARDING } from "../preflight.ts";
import type { Check } from "./status.ts";

export function checkForwarding(families: readonly IpFamily[], ns?: NetNs): Check[] {
  return families.map((family): Check => {
    const value = readSysctl(FORWARDING[family], ns);
    const of = FORWARDING[family].replaceAll("/", ".");
    return value === "1"
      ? { of, verdict: "ok" }
      : { of, verdict: "drift", why: `it is ${value ?? "not there"}, not 1` };
  });
}

export function checkSubnetFile(path: string, wanted: SubnetEnv): Check {
  const of = `subnet file ${path}`;
  try {
    const is = readFileSync(path, "utf8").trimEnd().split("\n");
    const shall = formatSubnetEnv(wanted).trimEnd().split("\n");
    const wrong = shall.find((line) => !is.includes(line));
    return wrong === undefined ? { of, verdict: "ok" } : { of, verdict: "drift", why: `it lacks ${wrong}` };
  } catch (error) {
    if (isNotFound(error)) return { of, verdict: "drift", why: "it is missing" };
    return { of, verdict: "unknown", why: messageOf(error) };
  }
}

/** Whether iptables has the chains that `config` wants, both families. */
export async function checkIptables(of: string, config: MasqueradeConfig, ns?: NetNs): Promise<Check> {
  try {
    for (const { family } of networksOf(config)) {
      const door = await Iptables.open(family, { ns });
      const randomFully = (config.randomFully ?? true) && door.hasRandomFully;
      const drift = await iptablesDrift(door, { ...config, randomFully }, family);
      if (drift !== undefined) return { of, verdict: "drift", why: `IPv${family}, what a repair would do: ${drift}` };
    }
    return { of, verdict: "ok" };
  } catch (error) {
    return { of, verdict: "unknown", why: messageOf(error) };
  }
}

export interface NftTable {
  readonly family: string;
  readonly table: string;
}

/**
 * Whether the tables are what `ruleset` makes of them. Nobody prints a rule the way it was written, so the ruleset is
 * loaded into a namespace that lives for a moment, and the two listings are compared.
 */
export function checkTables(of: string, nft: Nft, ruleset: string, tables: readonly NftTable[]): Check {
  try {
    const missing = tables.filter((table) => listing(nft, table) === undefined);
    if (missing.length > 0)
      return {
        of,
        verdict: "drift",
        why: missing.map(({ family, table }) => `no table ${family} ${table}`).join(", "),
      };
    const shall = listingsOf(ruleset, tables);
    const wrong = tables.filter((table, i) => listing(nft, table) !== shall[i]);
    if (wrong.length === 0) return { of, verdict: "ok" };
    return {
      of,
      verdict: "drift",
      why: `${wrong.map(({ family, table }) => `table ${family} ${table}`).join(", ")} was changed by someone else`,
    };
  } catch (error) {
    return { of, verdict: "unknown", why: messageOf(error) };
  }
}

/** The last few, for who looks again and again: a namespace costs the kernel more than all the rest of a look. */
const known = new Map<string, readonly (string | undefined)[]>();
const KNOWN_MAX = 16;

function listingsOf(ruleset: string, tables: readonly NftTable[]): readonly (string | undefined)[] {
  let listings = known.get(ruleset);
  if (!listings) {
    using scratch = createUnnamedNetNs();
    using model = Nft.open(scratch);
    model.apply(ruleset);
    listings = tables.map((table) => listing(model, table));
    for (const [oldest] of known) if (known.size >= KNOWN_MAX) known.delete(oldest);
    known.set(ruleset, listings);
  }
  return listings;
}

/** The table as text, without what counts up by itself; undefined when there is none. */
function listing(nft: Nft, { family, table }: NftTable): string | undefined {
  try {
    const objects = nft.list(`list table ${family} ${table}`).nftables;
    return JSON.stringify(objects, (key, value: unknown) => {
      if (key === "handle" || key === "metainfo") return undefined;
      return key === "elem" && Array.isArray(value) ? sorted(value) : value;
    });
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** The elements of a set have no order. Those with a time to live were put there by packets. */
function sorted(elements: readonly unknown[]): unknown[] {
  return elements
    .filter((element) => !JSON.stringify(element).includes('"expires"'))
    .sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}
