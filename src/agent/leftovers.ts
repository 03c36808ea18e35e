import type { IpFamily } from "../formats/netip/index.ts";
import { GATEWAY_TABLE, gatewayCleanup } from "../gateway/index.ts";
import { isNotFound, Nft } from "../kernel/index.ts";
import type { Log } from "./log.ts";

/**
 * Removes the gateway's tables of a predecessor with other options or another network config, whose rules would go on in
 * force. Does not throw: a node that wants no nftables need not have them.
 * @param kept the families whose table this agent keeps
 */
export function removeUnwantedGateway(kept: readonly IpFamily[], nft: Nft | undefined, log: Log): void {
  const unwanted = ([4, 6] as const).filter((family) => !kept.includes(family));
  if (unwanted.length === 0) return;
  try {
    using opened = nft ? undefined : Nft.open();
    const tables = nft ?? opened;
    if (!tables) return;
    for (const version of unwanted) {
      const family = version === 4 ? "ip" : "ip6";
      if (!hasTable(tables, family, GATEWAY_TABLE)) continue;
      tables.apply(gatewayCleanup(version));
      log.info({ family }, `removed table ${family} ${GATEWAY_TABLE}, which the options do not ask for any more`);
    }
  } catch (error) {
    log.warn({ err: error }, "cannot remove the nftables rules that an agent with other options may have left");
  }
}

export function hasTable(nft: Nft, family: string, table: string): boolean {
  try {
    nft.list(`list table ${family} ${table}`);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}
