import type { Prefix } from "../formats/netip/index.ts";
import type { FdbEntry, Neighbour, Nexthop, Route } from "../formats/netlink/index.ts";
import type { WantedFdb, WantedNeighbour, WantedNexthop, WantedRoute } from "./state.ts";

/** One difference between what is and what shall be, as the one thing to do about it. */
export type Change =
  | { readonly change: "set-up"; readonly index: number }
  | { readonly change: "add-address"; readonly index: number; readonly prefix: Prefix }
  | { readonly change: "replace-neighbour"; readonly neighbour: WantedNeighbour }
  | { readonly change: "replace-fdb"; readonly fdb: WantedFdb }
  | { readonly change: "add-nexthop"; readonly nexthop: WantedNexthop }
  /** With `nexthopId` the route names that object, which leads where the route says. */
  | { readonly change: "replace-route"; readonly route: WantedRoute; readonly nexthopId?: number }
  | { readonly change: "add-blackhole"; readonly dst: Prefix }
  | { readonly change: "delete-route"; readonly route: Route }
  | { readonly change: "delete-nexthop"; readonly nexthop: Nexthop }
  | { readonly change: "delete-fdb"; readonly fdb: FdbEntry }
  | { readonly change: "delete-neighbour"; readonly neighbour: Neighbour }
  | { readonly change: "delete-address"; readonly index: number; readonly prefix: Prefix };

/** The changes of one device, of one peer, or of one thing that nobody wants any more. */
export interface Step {
  /** `device flannel.1`, `peer 10.244.2.0/24`, `stale route 10.244.9.0/24`. */
  readonly of: string;
  readonly changes: readonly Change[];
}

/** Something wanted that cannot be, because something else stands in its place. */
export interface Conflict {
  readonly of: string;
  readonly why: string;
}

export interface Plan {
  /**
   * Devices first, then peers, each neighbour before FDB entry before route, so that a route never leads to a peer
   * we cannot reach; then what is stale, the route first for the same reason. Stale comes last of all: a changed peer
   * is reachable by its new entries before it loses the old ones.
   */
  readonly steps: readonly Step[];
  readonly conflicts: readonly Conflict[];
}
