import { formatPrefix, prefixesEqual, prefixesOverlap } from "../formats/netip/index.ts";
import type { Lease } from "../subnet/index.ts";

/** How long peers are kept after the store had forgotten our own lease: every agent takes its own again by then. */
const HOLD_MS = 60_000;

/**
 * The other nodes' leases, from whole sets of leases. A set without our own lease comes from a store that lost its
 * data; whoever else is missing in it may be as alive as we are, so nobody is let go until some time after.
 */
export class PeerSet {
  readonly #own: Lease;
  #peers: readonly Lease[] = [];
  /** Leases that are missing only since ours was. */
  #held: readonly Lease[] = [];
  #holdUntil = 0;
  #hadOwn = false;

  constructor(own: Lease) {
    this.#own = own;
  }

  update(leases: readonly Lease[], now: number): void {
    const { subnet, ipv6Subnet } = this.#own;
    const isOwn = (lease: Lease): boolean => isSame(lease.subnet, subnet) && isSame(lease.ipv6Subnet, ipv6Subnet);
    const hasOwn = leases.some(isOwn);
    // Once the store knows us again, it also knows whom it lets go.
    const known = hasOwn ? this.#held : this.current(now);
    if (this.#hadOwn && !hasOwn) this.#holdUntil = now + HOLD_MS;
    this.#hadOwn = hasOwn;
    this.#peers = leases.filter((lease) => !isOwn(lease));
    this.#held =
      now < this.#holdUntil ? known.filter((lease) => !this.#peers.some((peer) => inTheWay(peer, lease))) : [];
  }

  current(now: number): readonly Lease[] {
    return now < this.#holdUntil ? [...this.#peers, ...this.#held] : this.#peers;
  }

  /** How many of current() the store does not know any more. */
  heldAt(now: number): number {
    return now < this.#holdUntil ? this.#held.length : 0;
  }

  /** When current() changes by itself; undefined: it does not. */
  nextChangeAt(now: number): number | undefined {
    return this.#held.length > 0 && now < this.#holdUntil ? this.#holdUntil : undefined;
  }
}

export function leaseKey(lease: Lease): string {
  return [lease.subnet, lease.ipv6Subnet].map((prefix) => (prefix ? formatPrefix(prefix) : "-")).join(" ");
}

function isSame(a: Lease["subnet"], b: Lease["subnet"]): boolean {
  return a === b || (a !== undefined && b !== undefined && prefixesEqual(a, b));
}

function inTheWay(a: Lease, b: Lease): boolean {
  const overlap = (x: Lease["subnet"], y: Lease["subnet"]): boolean =>
    x !== undefined && y !== undefined && prefixesOverlap(x, y);
  return overlap(a.subnet, b.subnet) || overlap(a.ipv6Subnet, b.ipv6Subnet);
}
