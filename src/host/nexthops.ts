import { type IpAddress, isIpv4 } from "../formats/netip/index.ts";
import type { Nexthop, Route } from "../formats/netlink/index.ts";
import type { Change } from "./change.ts";
import type { Inventory } from "./inventory.ts";
import { RTPROT_PODPATH, type WantedRoute, type WantedState } from "./state.ts";

/**
 * From so many IPv4 routes on, new ones name a nexthop object each. The kernel keeps all plain IPv4 routes of a device
 * in one hash chain and walks it for each new one (net/ipv4/fib_semantics.c fib_find_info): 5 ms for 500 routes, 20 for
 * 1,000, 440 for 5,000, 6,600 for 20,000. By nexthop object a route takes 8 µs, however many there are. Below, a node's
 * routes look as Flannel's do.
 */
export const NEXTHOPS_PAY_FROM = 500;

/** Nexthop objects of ours that no route names. */
export function idleNexthops(inventory: Inventory): Nexthop[] {
  return (inventory.nexthops ?? []).filter((nexthop) => inventory.usersOf(nexthop) === 0 && isOurs(nexthop, inventory));
}

/** IPv6 routes are kept apart by the kernel, and are no faster by nexthop object. */
function canName(route: WantedRoute): route is WantedRoute & { readonly gateway: IpAddress } {
  return route.gateway !== undefined && isIpv4(route.gateway) && isIpv4(route.dst.address);
}

/** Whether `wanted` has so many routes that can name nexthop objects. */
export function pays({ hasNexthops }: Inventory, { devices, peers }: WantedState, from: number): boolean {
  let count = 0;
  for (const owner of [...devices, ...peers]) for (const route of owner.routes ?? []) if (canName(route)) count++;
  return hasNexthops && count >= from;
}

/** What is in somebody's group is in use, though no route names it. */
function isOurs({ id, protocol, family }: Nexthop, inventory: Inventory): boolean {
  return protocol === RTPROT_PODPATH && family === 4 && !inventory.isGrouped(id);
}

/** Spells routes by nexthop object where that pays, and finds the objects that no route names any more. */
export class Nexthops {
  readonly #inventory: Inventory;
  readonly #pays: boolean;
  readonly #idle = new Map<IpAddress | undefined, Nexthop[]>();
  /** By object: how many of the routes that name it go. */
  readonly #lost = new Map<number, number>();

  /** @param idle those that no route names, to be used or else removed */
  constructor(inventory: Inventory, pays: boolean, idle: readonly Nexthop[]) {
    this.#inventory = inventory;
    this.#pays = pays;
    for (const nexthop of idle) this.#idle.set(nexthop.gateway, [...(this.#idle.get(nexthop.gateway) ?? []), nexthop]);
  }

  /** The changes that put the route in the place of what is there. */
  replace(route: WantedRoute): Change[] {
    const [before] = this.#inventory.inPlaceOf(route);
    if (before) this.lose(before);
    if (!this.#pays || !canName(route)) return [{ change: "replace-route", route }];
    const { gateway, oif, onlink } = route;
    const idle = this.#takeIdle(route);
    if (idle) return [{ change: "replace-route", route, nexthopId: idle.id }];
    const id = this.#inventory.newNexthopId();
    return [
      { change: "add-nexthop", nexthop: { id, gateway, oif, onlink } },
      { change: "replace-route", route, nexthopId: id },
    ];
  }

  /** Takes note of a route that goes. */
  lose({ nexthopId }: Route): void {
    if (nexthopId !== undefined) this.#lost.set(nexthopId, (this.#lost.get(nexthopId) ?? 0) + 1);
  }

  /** Ours that nobody names then. To delete one that a route still names would take the route with it. */
  stale(): Nexthop[] {
    const lost = [...this.#lost].flatMap(([id, count]) => {
      const nexthop = this.#inventory.nexthop(id);
      return nexthop && this.#inventory.usersOf(nexthop) === count && isOurs(nexthop, this.#inventory) ? [nexthop] : [];
    });
    return [...[...this.#idle.values()].flat(), ...lost];
  }

  #takeIdle({ gateway, oif, onlink }: WantedRoute): Nexthop | undefined {
    const candidates = this.#idle.get(gateway) ?? [];
    const at = candidates.findIndex((idle) => idle.oif === oif && idle.onlink === onlink && !idle.blackhole);
    return at < 0 ? undefined : candidates.splice(at, 1)[0];
  }
}
