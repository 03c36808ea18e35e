import type { Address, FdbEntry, Link, Neighbour, Nexthop, Route } from "../formats/netlink/index.ts";
import type { NetNs } from "./netns.ts";

type Change = "new" | "delete";

/** What the kernel announced: an object came or changed (`new`), or went (`delete`). */
export type RtnlEvent =
  | { readonly change: Change; readonly of: "link"; readonly link: Link }
  | { readonly change: Change; readonly of: "address"; readonly address: Address }
  | { readonly change: Change; readonly of: "route"; readonly route: Route }
  | { readonly change: Change; readonly of: "neighbour"; readonly neighbour: Neighbour }
  | { readonly change: Change; readonly of: "fdb"; readonly fdb: FdbEntry }
  | { readonly change: Change; readonly of: "nexthop"; readonly nexthop: Nexthop };

/**
 * Announces every change of links, addresses, routes, neighbours, FDB and nexthops in `ns` (undefined: our own).
 * `onResync` says that announcements were lost and only a fresh listing tells what is. To miss nothing, start the
 * watch first and list then.
 */
export function watchRtnl(
  ns: NetNs | undefined,
  onEvent: (event: RtnlEvent) => void,
  onResync: () => void,
): Disposable {
  throw new Error(`not yet: ${ns} ${onEvent} ${onResync}`);
}
