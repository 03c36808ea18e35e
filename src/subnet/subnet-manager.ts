import type { LeaseAttrs, NetworkConfig } from "../formats/flannel/index.ts";
import type { Prefix } from "../formats/netip/index.ts";
import type { Log, Store } from "../store/index.ts";

/** A node's claim on its subnets. A node has at least one of the two. */
export interface Lease {
  /** undefined on a node without IPv4. */
  readonly subnet?: Prefix;
  readonly ipv6Subnet?: Prefix;
  readonly attrs: LeaseAttrs;
  /** undefined: a reservation, which does not expire. */
  readonly expiresAt?: Date;
}

export interface SubnetManagerOptions {
  readonly store: Store;
  /** Default `/coreos.com/network`. */
  readonly prefix?: string;
  readonly log: Log;
}

/** Flannel's subnet manager: who owns which subnet, in a store shared with Flannel nodes. */
export class SubnetManager {
  readonly #store: Store;
  readonly prefix: string;

  constructor(options: SubnetManagerOptions) {
    this.#store = options.store;
    this.prefix = options.prefix ?? "/coreos.com/network";
  }

  /** `<prefix>/config`, waiting for it to be there. @throws {FlannelError} when it is there and wrong */
  networkConfig(signal: AbortSignal): Promise<NetworkConfig> {
    throw new Error(`not yet: ${signal} ${this.#store}`);
  }

  /**
   * This node's lease: its old one, the one of `previous` (from subnet.env), or a free one.
   * @throws {SubnetError} when there is none left, or another live node has this PublicIP
   */
  acquire(attrs: LeaseAttrs, previous?: readonly Prefix[]): Promise<Lease> {
    throw new Error(`not yet: ${attrs} ${previous}`);
  }

  /**
   * Renews the lease `renewMarginMs` before it expires, and takes the same subnet again when it was lost, until
   * `signal`. Never gives up and never touches anything but the store. `onChange`: the lease as it now is.
   */
  keep(lease: Lease, signal: AbortSignal, renewMarginMs?: number, onChange?: (lease: Lease) => void): Promise<void> {
    throw new Error(`not yet: ${lease} ${signal} ${renewMarginMs} ${onChange}`);
  }

  /** Every node's lease (our own too), the whole set each time it changes; ends with `signal`. */
  watch(signal: AbortSignal): AsyncIterable<readonly Lease[]> {
    throw new Error(`not yet: ${signal}`);
  }

  /** How many keys and values under `<prefix>/subnets` were skipped because they are not leases. */
  get skipped(): number {
    return 0;
  }
}
