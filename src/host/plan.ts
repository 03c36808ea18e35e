import type { MacAddress, Prefix } from "../formats/netip/index.ts";
import type { Request } from "../formats/netlink/index.ts";
import type { ActualState, WantedFdb, WantedNeighbour, WantedRoute, WantedState } from "./state.ts";

/** One difference between what is and what shall be, as the request that removes it. */
export type Change =
  | { readonly change: "set-up"; readonly index: number }
  | { readonly change: "add-address"; readonly index: number; readonly prefix: Prefix }
  | { readonly change: "replace-neighbour"; readonly neighbour: WantedNeighbour }
  | { readonly change: "replace-fdb"; readonly fdb: WantedFdb }
  | { readonly change: "replace-route"; readonly route: WantedRoute }
  | { readonly change: "delete-route"; readonly route: WantedRoute & { readonly protocol: number } }
  | { readonly change: "delete-fdb"; readonly fdb: { readonly index: number; readonly lladdr: MacAddress } }
  | { readonly change: "delete-neighbour"; readonly neighbour: Omit<WantedNeighbour, "lladdr"> }
  | { readonly change: "delete-address"; readonly index: number; readonly prefix: Prefix };

/** The changes of one device, one peer, or the things left over from a peer that went. */
export interface Step {
  /** `device flannel.1`, `peer 10.244.2.0/24`, `stale route 10.244.9.0/24`. */
  readonly of: string;
  readonly changes: readonly Change[];
}

/** Something wanted that cannot be, because somebody else's object stands in its place. */
export interface Conflict {
  readonly of: string;
  readonly why: string;
}

export interface Plan {
  /** In order: devices, peers (neighbour, FDB entry, route), then what is no longer wanted (route, FDB entry, neighbour, address). */
  readonly steps: readonly Step[];
  readonly conflicts: readonly Conflict[];
}

/** What to change so that `wanted` is. Pure; an empty list of steps says that all is well. */
export function plan(actual: ActualState, wanted: WantedState): Plan {
  throw new Error(`not yet: ${actual} ${wanted}`);
}

/** The netlink request that carries a change out. */
export function toRequest(change: Change): Request {
  throw new Error(`not yet: ${change}`);
}
