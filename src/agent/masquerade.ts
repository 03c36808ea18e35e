// Which of the two ways the masquerade and forward rules are kept, and everything that is neither: rules of the other
// way, of other families, of options that were other ones, and of a Flannel before us.
import type { NetworkConfig } from "../formats/flannel/index.ts";
import { formatPrefix, type IpFamily, prefixFamily } from "../formats/netip/index.ts";
import { Iptables, IptablesError, Nft, watchNfTables } from "../kernel/index.ts";
import {
  findMasquerade,
  IptablesMasquerade,
  type Masquerade,
  type MasqueradeConfig,
  type MasqueradePlace,
  masqueradeTables,
  NftMasquerade,
  networksOf,
} from "../masquerade/index.ts";
import type { Lease } from "../subnet/index.ts";
import { AgentError, messageOf } from "./errors.ts";
import { hasTable } from "./leftovers.ts";
import type { Log } from "./log.ts";
import type { AgentOptions, MasqueradeMode } from "./options.ts";
import type { Undo } from "./undo.ts";

/** An explicit `EnableNFTables: true` in the network config is for all nodes; else the node's flag says. */
export function masqueradeMode(network: NetworkConfig, { masqueradeMode: asked }: AgentOptions): MasqueradeMode {
  return network.enableNftables ? "nft" : asked;
}

export function masqueradeConfig(network: NetworkConfig, own: Lease, options: AgentOptions): MasqueradeConfig {
  return {
    ...(network.ipv4 && own.subnet && { ipv4: { network: network.ipv4.network, subnet: own.subnet } }),
    ...(network.ipv6 && own.ipv6Subnet && { ipv6: { network: network.ipv6.network, subnet: own.ipv6Subnet } }),
    ipMasq: options.ipMasq,
    forwardRules: options.iptablesForwardRules,
    randomFully: options.ipMasqRandomFully,
    nonMasquerade: options.nonMasqueradeCidrs,
  };
}

export interface KeptMasquerade {
  /** undefined when the options want no rules. */
  readonly masquerade?: Masquerade;
  /** Where its rules are. */
  readonly places: readonly MasqueradePlace[];
}

export interface MasqueradeContext {
  readonly options: AgentOptions;
  readonly mode: MasqueradeMode;
  /** There in nft mode. */
  readonly nft: Nft | undefined;
  readonly log: Log;
  /** Removes rules that were not there before. */
  readonly made: Undo;
  readonly open: Undo;
  readonly onRestored?: (() => void) | undefined;
}

/** Masquerade and forward rules from now on, restored whenever somebody changes them. @throws {AgentError} @throws {NftError} */
export async function keepMasquerade(config: MasqueradeConfig, context: MasqueradeContext): Promise<KeptMasquerade> {
  warnOfNoEffect(config, context);
  if (!config.ipMasq && !config.forwardRules) return { places: [] };
  return context.mode === "nft" && context.nft ? keepTables(config, context.nft, context) : keepChains(config, context);
}

function warnOfNoEffect(config: MasqueradeConfig, { options, mode, log }: MasqueradeContext): void {
  if (mode !== options.masqueradeMode)
    log.warn({}, "--masquerade-mode=iptables has no effect: the network config says EnableNFTables: true");
  const families = networksOf(config).map(({ family }) => family);
  for (const prefix of options.nonMasqueradeCidrs) {
    const why = !config.ipMasq ? "--ip-masq is off" : `the network has no IPv${prefixFamily(prefix)}`;
    if (!config.ipMasq || !families.includes(prefixFamily(prefix)))
      log.warn({}, `--non-masquerade-cidr ${formatPrefix(prefix)} has no effect: ${why}`);
  }
}

function keepTables(config: MasqueradeConfig, nft: Nft, context: MasqueradeContext): KeptMasquerade {
  const { log, made, open, onRestored } = context;
  const had = masqueradeTables(config).some(({ family, table }) => hasTable(nft, family, table));
  const masquerade = open.use("stop watching the masquerade rules", new NftMasquerade(nft, config, log, onRestored));
  masquerade.watch();
  if (!had) made.push("remove the masquerade rules", () => masquerade.cleanup());
  return { masquerade, places: networksOf(config).map(({ family }) => ({ family, in: "nft" })) };
}

async function keepChains(config: MasqueradeConfig, context: MasqueradeContext): Promise<KeptMasquerade> {
  const { options, log, made, open, onRestored } = context;
  try {
    const doors = await Promise.all(networksOf(config).map(({ family }) => Iptables.open(family)));
    const announced = doors.filter(({ variant }) => variant === "nft").map(({ family }) => family);
    const masquerade = new IptablesMasquerade({
      doors,
      config: { ...config, randomFully: options.ipMasqRandomFully && doors.every((door) => door.hasRandomFully) },
      log,
      resyncMs: options.iptablesResync * 1000,
      watchTables: announced.length === 0 ? undefined : (onChange) => watchIptablesTables(announced, onChange),
      onRestored,
    });
    open.use("stop watching the masquerade rules", masquerade);
    const had = await masquerade.hasAny();
    await masquerade.watch();
    if (!had) made.push("remove the masquerade rules", () => masquerade.cleanup());
    for (const { family, variant, version } of doors)
      log.info({ family, variant, version }, `masquerade rules of IPv${family} are in iptables (${variant})`);
    return { masquerade, places: doors.map(({ family, variant }) => ({ family, in: `iptables-${variant}` })) };
  } catch (error) {
    if (!(error instanceof IptablesError)) throw error;
    const advice = "--masquerade-mode=nft, the default, needs no iptables";
    throw new AgentError(`${error.message}; ${advice}`, { cause: error });
  }
}

function watchIptablesTables(families: readonly IpFamily[], onChange: () => void): Disposable {
  const scopes = families.flatMap((family) =>
    ["nat", "filter"].map((table) => ({ family: family === 4 ? ("ip" as const) : ("ip6" as const), table })),
  );
  return watchNfTables(undefined, onChange, scopes);
}

/** Removes what is in no place to keep. Does not throw: the node works without, and tells. */
export async function removeOtherMasquerade(
  keep: readonly MasqueradePlace[],
  opened: Nft | undefined,
  log: Log,
): Promise<void> {
  using own = opened ? undefined : openNft();
  try {
    const { ours, left } = await findMasquerade({ nft: opened ?? own, keep });
    for (const line of left) log.warn({}, `cannot tell whether an agent or a Flannel before has left ${line}`);
    for (const { what, remove } of ours) {
      await remove();
      log.info({}, `removed ${what}, which an agent with other options or a Flannel left`);
    }
  } catch (error) {
    log.warn({ err: error }, `cannot remove the masquerade rules that were left before: ${messageOf(error)}`);
  }
}

function openNft(): Nft | undefined {
  try {
    return Nft.open();
  } catch {
    return undefined; // not installed
  }
}
