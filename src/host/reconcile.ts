import { setImmediate as nextTurn } from "node:timers/promises";
import { type Nexthop, type Route, RT_TABLE_MAIN } from "../formats/netlink/index.ts";
import { isUnsupported, type Rtnl } from "../kernel/index.ts";
import { carryOut, type ReconcileOptions, type ReconcileReport } from "./carry-out.ts";
import { type PlanOptions, plan } from "./plan.ts";
import type { ActualState, WantedState } from "./state.ts";

/** The part of Rtnl that is needed here. */
export type HostRtnl = Pick<Rtnl, "links" | "addresses" | "routes" | "neighbours" | "fdb" | "nexthops" | "execute">;

/** Lists what the namespace has. */
export function listHost(rtnl: HostRtnl): ActualState {
  const nexthops = listNexthops(rtnl);
  return {
    links: rtnl.links(),
    addresses: rtnl.addresses(),
    routes: withWays(rtnl.routes({ table: RT_TABLE_MAIN }), nexthops),
    neighbours: rtnl.neighbours(),
    fdb: rtnl.fdb(),
    nexthops,
  };
}

/** The same, with turns for others between the tables: each takes 50 ms where there are 20,000 peers. */
export async function listHostInTurns(rtnl: HostRtnl): Promise<ActualState> {
  const nexthops = listNexthops(rtnl);
  await nextTurn();
  const [links, addresses] = [rtnl.links(), rtnl.addresses()];
  const routes = withWays(rtnl.routes({ table: RT_TABLE_MAIN }), nexthops);
  await nextTurn();
  const neighbours = rtnl.neighbours();
  await nextTurn();
  return { links, addresses, routes, neighbours, fdb: rtnl.fdb(), nexthops };
}

function listNexthops(rtnl: HostRtnl): readonly Nexthop[] | undefined {
  try {
    return rtnl.nexthops();
  } catch (error) {
    if (isUnsupported(error)) return undefined;
    throw error;
  }
}

/** With net.ipv4.nexthop_compat_mode 0 a route tells its nexthop object's id alone. */
function withWays(routes: readonly Route[], nexthops: readonly Nexthop[] = []): readonly Route[] {
  if (!routes.some(({ nexthopId, oif }) => nexthopId !== undefined && oif === undefined)) return routes;
  const byId = new Map(nexthops.map((nexthop) => [nexthop.id, nexthop]));
  return routes.map((route) => {
    const nexthop = route.oif === undefined ? byId.get(route.nexthopId ?? 0) : undefined;
    if (!nexthop) return route;
    const { gateway, oif, onlink } = nexthop;
    return { ...route, ...(gateway && { gateway }), ...(oif !== undefined && { oif }), onlink };
  });
}

/** Makes the namespace what `wanted` says. A change that the kernel refuses fails its own step and no other. */
export async function reconcile(
  rtnl: HostRtnl,
  wanted: WantedState,
  options: ReconcileOptions & { readonly actual?: ActualState; readonly planning?: PlanOptions } = {},
): Promise<ReconcileReport> {
  const { steps, conflicts } = plan(options.actual ?? listHost(rtnl), wanted, options.planning);
  return { ...(await carryOut(rtnl, steps, options)), conflicts };
}
