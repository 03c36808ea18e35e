import type { NetworkConfig, SubnetEnv } from "../formats/flannel/index.ts";
import type { Prefix } from "../formats/netip/index.ts";
import { RTN_BLACKHOLE } from "../formats/netlink/index.ts";
import { RTPROT_PODPATH, reconcile } from "../host/index.ts";
import type { Nft, Rtnl } from "../kernel/index.ts";
import { Masquerade, type MasqueradeConfig, masqueradeTables } from "../masquerade/index.ts";
import type { Lease } from "../subnet/index.ts";
import { hasTable } from "./leftovers.ts";
import type { Log } from "./log.ts";
import type { AgentOptions } from "./options.ts";
import type { Undo } from "./undo.ts";

export interface MasqueradeContext {
  readonly nft: Nft;
  readonly log: Log;
  /** Removes rules that were not there before. */
  readonly made: Undo;
  readonly open: Undo;
  readonly onRestored?: (() => void) | undefined;
}

/** What subnet.env tells the CNI plugin. */
export function subnetEnv(network: NetworkConfig, own: Lease, mtuBytes: number, options: AgentOptions): SubnetEnv {
  return {
    networks: network.ipv4 ? [network.ipv4.network] : [],
    ipv6Networks: network.ipv6 ? [network.ipv6.network] : [],
    ...(own.subnet && { subnet: own.subnet }),
    ...(own.ipv6Subnet && { ipv6Subnet: own.ipv6Subnet }),
    mtuBytes,
    ipMasq: options.ipMasq,
  };
}

/** Where --ip-blackhole-route lets packets end. */
export function blackholesOf(own: Lease, options: AgentOptions): Prefix[] {
  return options.ipBlackholeRoute ? [own.subnet, own.ipv6Subnet].filter((subnet) => subnet !== undefined) : [];
}

/** Before the first is made, so that a start that fails takes them away again, if there were none before. */
export function undoBlackholes(ranges: readonly Prefix[], rtnl: Rtnl, made: Undo): void {
  if (ranges.length === 0 || rtnl.routes({ protocol: RTPROT_PODPATH, type: RTN_BLACKHOLE }).length > 0) return;
  made.push("remove the blackhole route", () => reconcile(rtnl, { devices: [], peers: [], ranges }));
}

/** Masquerade and forward rules from now on, restored whenever somebody changes them. @throws {NftError} */
export function keepMasquerade(config: MasqueradeConfig, context: MasqueradeContext): Masquerade {
  const { nft, log, made, open, onRestored } = context;
  const had = masqueradeTables(config).some(({ family, table }) => hasTable(nft, family, table));
  const masquerade = open.use("stop watching the masquerade rules", new Masquerade(nft, config, log, onRestored));
  masquerade.watch();
  if (!had) made.push("remove the masquerade rules", () => masquerade.cleanup());
  return masquerade;
}

export function masqueradeConfig(network: NetworkConfig, own: Lease, options: AgentOptions): MasqueradeConfig {
  return {
    ...(network.ipv4 && own.subnet && { ipv4: { network: network.ipv4.network, subnet: own.subnet } }),
    ...(network.ipv6 && own.ipv6Subnet && { ipv6: { network: network.ipv6.network, subnet: own.ipv6Subnet } }),
    ipMasq: options.ipMasq,
    forwardRules: options.iptablesForwardRules,
    randomFully: options.ipMasqRandomFully,
  };
}
