import { formatPrefix, type IpAddress, type Prefix, prefixesOverlap, prefixFamily } from "../formats/netip/index.ts";
import type { Lease } from "../subnet/index.ts";
import { present } from "./addresses.ts";
import type { ExternalInterface, Log } from "./backend.ts";

/** A lease as the log calls it: its subnets. */
export function leaseName(lease: Lease): string {
  return present([lease.subnet, lease.ipv6Subnet]).map(formatPrefix).join(" ");
}

/** This node, as a peer's lease must not describe it. */
export interface Self {
  readonly own: Lease;
  /** Addresses by which this node itself is reached. */
  readonly ownAddresses: readonly IpAddress[];
}

export function selfOf(own: Lease, external: ExternalInterface): Self {
  const { address, ipv6Address, publicIp, publicIpv6 } = external;
  return { own, ownAddresses: present([address, ipv6Address, publicIp, publicIpv6]) };
}

/** Why one family's part of a peer's lease would break this node itself; undefined: it does not. */
export function clashWithSelf(
  { subnet, publicIp }: { readonly subnet: Prefix; readonly publicIp: IpAddress },
  { own, ownAddresses }: Self,
): string | undefined {
  if (ownAddresses.includes(publicIp)) return `its PublicIP ${publicIp} is this node's own`;
  const mine = prefixFamily(subnet) === 4 ? own.subnet : own.ipv6Subnet;
  if (mine && prefixesOverlap(mine, subnet)) return `its subnet overlaps this node's own, ${formatPrefix(mine)}`;
  return undefined;
}

export function otherBackend(lease: Lease, type: string): string | undefined {
  const { backendType } = lease.attrs;
  return backendType === type ? undefined : `its backend is ${JSON.stringify(backendType)}, not ${type}`;
}

/** Sorts out the leases that cannot be used, and says of each why, once. */
export class PeerLeases {
  readonly #log: Log;
  readonly #said = new Map<string, string>();
  #known: ReadonlyMap<Lease, object | string> = new Map();
  #context: string | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * @param toPeer what the lease's node needs, or why its lease cannot be used
   * @param context what else that depends on. While it is the same text, what a lease was found to need is known, and
   * is the same object; without it, nothing is
   */
  usable<T extends object>(
    leases: readonly Lease[],
    toPeer: (lease: Lease) => T | string,
    context?: string,
  ): readonly T[] {
    const isSame = context !== undefined && context === this.#context;
    const known = (isSame ? this.#known : new Map()) as ReadonlyMap<Lease, T | string>;
    const now = new Map<Lease, T | string>();
    const names = new Set<string>();
    const peers: T[] = [];
    for (const lease of leases) {
      const peer = known.get(lease) ?? toPeer(lease);
      now.set(lease, peer);
      if (typeof peer !== "string") {
        peers.push(peer);
        continue;
      }
      const name = leaseName(lease);
      names.add(name);
      if (this.#said.get(name) !== peer) this.#log.warn({ lease: name }, `ignoring lease ${name}: ${peer}`);
      this.#said.set(name, peer);
    }
    for (const name of this.#said.keys()) if (!names.has(name)) this.#said.delete(name);
    this.#known = now;
    this.#context = context;
    return peers;
  }
}
