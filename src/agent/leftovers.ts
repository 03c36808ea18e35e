import type { IpFamily } from "../formats/netip/index.ts";
import { GATEWAY_TABLE, gatewayCleanup } from "../gateway/index.ts";
import { isNotFound, Nft } from "../kernel/index.ts";
import { FLANNEL_TABLES, masqueradeCleanup } from "../masquerade/index.ts";
import type { Log } from "./log.ts";

/** The families whose table this agent keeps, for each of the tables. */
export interface KeptTables {
  readonly masquerade: readonly IpFamily[];
  readonly gateway: readonly IpFamily[];
}

interface OwnTable {
  readonly family: "ip" | "ip6";
  readonly table: string;
  readonly cleanup: string;
}

/** Every table that an agent with some options makes, and these options do not. */
function unwantedTables(kept: KeptTables): OwnTable[] {
  return ([4, 6] as const).flatMap((version) => {
    const family = version === 4 ? "ip" : "ip6";
    const flannel = version === 4 ? FLANNEL_TABLES.ipv4 : FLANNEL_TABLES.ipv6;
    return [
      ...(kept.masquerade.includes(version)
        ? []
        : [{ family, table: flannel, cleanup: masqueradeCleanup([version]) } as const]),
      ...(kept.gateway.includes(version)
        ? []
        : [{ family, table: GATEWAY_TABLE, cleanup: gatewayCleanup(version) } as const]),
    ];
  });
}

/**
 * Removes the tables of a predecessor with other options or another network config, whose rules would go on in force.
 * Does not throw: a node that wants no nftables need not have them.
 */
export function removeUnwantedTables(kept: KeptTables, nft: Nft | undefined, log: Log): void {
  const unwanted = unwantedTables(kept);
  if (unwanted.length === 0) return;
  try {
    using opened = nft ? undefined : Nft.open();
    const tables = nft ?? opened;
    if (!tables) return;
    for (const { family, table, cleanup } of unwanted) {
      if (!hasTable(tables, family, table)) continue;
      tables.apply(cleanup);
      log.info({ family, table }, `removed table ${family} ${table}, which the options do not ask for any more`);
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
