import type { IpFamily } from "../formats/netip/index.ts";
import { type ListedRule, parseRuleset, type Ruleset } from "../formats/nftables/index.ts";
import { Iptables, type IptablesVariant, isNotFound, legacyTables, type Nft } from "../kernel/index.ts";
import { planRestore } from "./iptables-plan.ts";
import { FLANNEL_CHAINS, type FlannelChain } from "./iptables-rules.ts";
import { FLANNEL_TABLES, masqueradeCleanup } from "./ruleset.ts";

/** Where masquerade and forward rules can be: our own tables, or iptables' in either of its variants. */
export interface MasqueradePlace {
  readonly family: IpFamily;
  readonly in: "nft" | "iptables-nft" | "iptables-legacy";
}

/** Rules of ours or of a Flannel, and how they go. */
export interface MasqueradeRemains {
  /** `table ip flannel-ipv4`, `chain FLANNEL-FWD of iptables-legacy` */
  readonly what: string;
  readonly remove: () => void | Promise<void>;
}

export interface RemainsOptions {
  /** The namespace of `nft`; default: our own. */
  readonly ns?: { readonly fd: number } | undefined;
  /** undefined where there is no nftables; then only iptables' programs can tell. */
  readonly nft: Nft | undefined;
  /** What is to stay. */
  readonly keep?: readonly MasqueradePlace[];
}

/**
 * Every rule of podpath's or Flannel's, wherever either has ever put any, but for those to keep. Changes nothing itself.
 * `left` says, in a line each, where nobody could look. @throws {NftError}
 */
export async function findMasquerade({ ns, nft, keep = [] }: RemainsOptions): Promise<{
  readonly ours: readonly MasqueradeRemains[];
  readonly left: readonly string[];
}> {
  const ours: MasqueradeRemains[] = [];
  const left: string[] = [];
  for (const family of [4, 6] as const) {
    const isKept = (place: MasqueradePlace["in"]): boolean => keep.some((k) => k.family === family && k.in === place);
    if (nft && !isKept("nft")) ours.push(...ownTable(nft, family));
    if (!isKept("iptables-nft")) {
      if (nft) ours.push(...nativeChains(nft, family));
      else await byPrograms(family, "nft", ns, { ours, left });
    }
    if (!isKept("iptables-legacy") && legacyTables(family, ns).some((name) => name === "nat" || name === "filter"))
      await byPrograms(family, "legacy", ns, { ours, left });
  }
  return { ours, left };
}

function ownTable(nft: Nft, family: IpFamily): MasqueradeRemains[] {
  const [ip, table] = family === 4 ? (["ip", FLANNEL_TABLES.ipv4] as const) : (["ip6", FLANNEL_TABLES.ipv6] as const);
  if (!listing(nft, `list table ${ip} ${table}`)) return [];
  return [{ what: `table ${ip} ${table}`, remove: () => nft.apply(masqueradeCleanup([family])) }];
}

/**
 * The chains of an iptables that is nf_tables underneath, without its programs: a Flannel in a container brings its own,
 * and the host may have none.
 */
function nativeChains(nft: Nft, family: IpFamily): MasqueradeRemains[] {
  const ip = family === 4 ? "ip" : "ip6";
  return FLANNEL_CHAINS.flatMap((own) => {
    if (!listing(nft, `list chain ${ip} ${own.table} ${own.chain}`)) return [];
    const jumps = (listing(nft, `list table ${ip} ${own.table}`)?.rules ?? []).filter((rule) => leadsTo(rule, own));
    const place = `${ip} ${own.table}`;
    const text = [
      ...jumps.map(({ chain, handle }) => `delete rule ${place} ${chain} handle ${handle}\n`),
      `flush chain ${place} ${own.chain}\ndelete chain ${place} ${own.chain}\n`,
    ].join("");
    return [{ what: `chain ${own.chain} of iptables-nft (table ${place})`, remove: () => nft.apply(text) }];
  });
}

function leadsTo({ chain, statements }: ListedRule, own: FlannelChain): boolean {
  return (
    chain !== own.chain &&
    statements.some(
      (statement) =>
        statement.kind === "verdict" && "chain" in statement.verdict && statement.verdict.chain === own.chain,
    )
  );
}

function listing(nft: Nft, command: string): Ruleset | undefined {
  try {
    return parseRuleset(nft.list(command));
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function byPrograms(
  family: IpFamily,
  variant: IptablesVariant,
  ns: RemainsOptions["ns"],
  found: { readonly ours: MasqueradeRemains[]; readonly left: string[] },
): Promise<void> {
  const name = `${family === 4 ? "iptables" : "ip6tables"}-${variant}`;
  try {
    const door = await openVariant(family, variant, ns);
    if (!door) {
      // Of nf_tables, nothing tells whether there is anything to look at.
      if (variant === "legacy")
        found.left.push(`rules of ${name}: it is in use here and not installed, so that nobody can look`);
      return;
    }
    const text = planRestore(await door.save(), []);
    if (text === "") return;
    const chains = FLANNEL_CHAINS.filter(({ chain }) => text.includes(chain)).map(({ chain }) => chain);
    const what = chains.length > 0 ? `chain ${chains.join(", ")}` : "Flannel's rules";
    found.ours.push({ what: `${what} of ${name}`, remove: () => door.restore(text) });
  } catch (error) {
    found.left.push(`rules of ${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** By its name, or the system's, if it is of that variant: an iptables before 1.8 is legacy and does not say so. */
async function openVariant(
  family: IpFamily,
  variant: IptablesVariant,
  ns: RemainsOptions["ns"],
): Promise<Iptables | undefined> {
  const named = await Iptables.open(family, { ns, variant });
  if (named) return named;
  try {
    const system = await Iptables.open(family, { ns });
    return system.variant === variant ? system : undefined;
  } catch {
    return undefined;
  }
}
