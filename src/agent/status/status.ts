import type { AgentInfo } from "./agent-info.ts";

/** What `podpath status` tells of a node, and prints with --json. */
export interface NodeStatus {
  readonly node: string;
  readonly agent: AgentInfo;
  /** Who looked: the running agent, with the leases that it holds, or `podpath status` itself, with the store's. */
  readonly seenBy: "agent" | "status";
  /** Absent as long as the network config is not known. */
  readonly backend?: string;
  readonly devices: readonly string[];
  readonly interface?: string;
  readonly publicIp?: string;
  readonly publicIpv6?: string;
  readonly mtuBytes?: number;
  readonly lease?: {
    /** `10.244.1.0/24` */
    readonly subnet?: string;
    readonly ipv6Subnet?: string;
    /** ISO 8601; absent: it does not expire, or the store did not tell. */
    readonly expiresAt?: string;
  };
  readonly store: {
    readonly endpoints: readonly string[];
    readonly connected: boolean;
    readonly lastError?: string;
    /** Keys and values under `<prefix>/subnets` that are no leases. */
    readonly skippedLeases?: number;
  };
  readonly checks: readonly Check[];
  readonly peers: readonly PeerStatus[];
  /** Ours, and wanted by nobody any more. */
  readonly stale: readonly string[];
  /** Leases that this node does not use, and why; what a look could not do. */
  readonly notes: readonly string[];
}

/** One thing of the node itself: a device, a table, a setting. */
export interface Check {
  /** `device flannel.1`, `masquerade` */
  readonly of: string;
  readonly verdict: "ok" | "drift" | "unknown";
  /** What is not as it should be, or why nobody can tell. */
  readonly why?: string;
}

/** Another node's lease against this node's kernel. */
export interface PeerStatus {
  readonly subnet?: string;
  readonly ipv6Subnet?: string;
  readonly publicIp: string;
  readonly publicIpv6?: string;
  readonly vtepMac?: string;
  readonly route: Cell;
  readonly neighbour: Cell;
  readonly fdb: Cell;
  /** A route, say, that is somebody else's and stands in the place of ours; with the command that removes it. */
  readonly inTheWay?: string;
}

/** `ok`; `-` where this backend or this peer needs none; else what is wrong. */
export type Cell = string;

/** 0: all is as the leases say. 1: something is not. 2: nobody can tell. */
export function exitCodeOf(status: NodeStatus): 0 | 1 | 2 {
  const hasDrift =
    status.checks.some(({ verdict }) => verdict === "drift") ||
    status.stale.length > 0 ||
    status.peers.some((peer) => peer.inTheWay !== undefined || cellsOf(peer).some((cell) => !isRight(cell)));
  if (hasDrift) return 1;
  return status.checks.some(({ verdict }) => verdict === "unknown") ? 2 : 0;
}

export function cellsOf({ route, neighbour, fdb }: PeerStatus): Cell[] {
  return [route, neighbour, fdb];
}

export function isRight(cell: Cell): boolean {
  return cell === "ok" || cell === "-";
}
