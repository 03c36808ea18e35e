// All leases of a network as a watch tells them: what is bad is left out, counted, and told once.
import type { NetworkConfig } from "../formats/flannel/index.ts";
import { formatPrefix, type Prefix } from "../formats/netip/index.ts";
import type { KeyValue, Log, WatchMessage } from "../store/index.ts";
import { inFamilies, isInNetwork } from "./allocate.ts";
import { keySubnets, type Lease, leasesOverlap, nameOfNode, readLease, type StoredLease, subnetsOf } from "./lease.ts";

interface View {
  readonly lease: Lease | undefined;
  readonly names: readonly string[];
}

export class LeaseSet {
  readonly #directory: string;
  readonly #log: Log;
  /** By key; the last good value of each. */
  readonly #leases = new Map<string, StoredLease>();
  /** What stands under keys whose values cannot be read: nobody's route, and still not free. By key. */
  readonly #unreadable = new Map<string, readonly Prefix[]>();
  /** What has been told: key and revision. */
  readonly #told = new Map<string, bigint>();
  #config: NetworkConfig | undefined;
  #views = new WeakMap<Lease, View>();
  /** How many keys and values were not leases; each change of one counts. */
  skipped = 0;

  constructor(directory: string, log: Log) {
    this.#directory = directory;
    this.#log = log;
  }

  apply(message: WatchMessage): void {
    if (message.type === "snapshot") {
      const present = new Set(message.kvs.map(({ key }) => key));
      for (const known of [this.#leases, this.#unreadable])
        for (const key of known.keys()) if (!present.has(key)) known.delete(key);
      // By age, as events come too: the map's order is that of the keys' creation.
      for (const kv of message.kvs.toSorted(byAge)) this.#put(kv);
    } else
      for (const { type, kv } of message.events) {
        if (type === "delete") {
          this.#leases.delete(kv.key);
          this.#unreadable.delete(kv.key);
        } else this.#put(kv);
      }
  }

  /** Whatever can be read, also what leases() would not give out. In key order. */
  all(): StoredLease[] {
    return [...this.#leases.values()].sort((a, b) => (a.kv.key < b.kv.key ? -1 : 1));
  }

  /** The subnets that somebody has a key for, whatever its value. */
  taken(): Prefix[] {
    return [
      ...[...this.#leases.values()].flatMap(({ lease }) => subnetsOf(lease)),
      ...[...this.#unreadable.values()].flat(),
    ];
  }

  /** In the order they were made. Of two that overlap only the older: a route can have one owner. */
  leases(config: NetworkConfig | undefined): StoredLease[] {
    const accepted: StoredLease[] = [];
    const bySubnet = new Map<string, StoredLease>();
    for (const stored of this.#leases.values()) {
      const { kv } = stored;
      const { lease, names } = this.#view(config, stored.lease);
      if (!lease) continue;
      // The usual clash is that of the very same subnet; the rest have subnets of another size.
      const rival =
        names.map((name) => bySubnet.get(name)).find((other) => other !== undefined) ??
        (isUsual(config, lease) ? undefined : accepted.find((other) => leasesOverlap(other.lease, lease)));
      if (config && !isInNetwork(config, lease)) {
        this.#tell(kv, "its subnet is no part of the network in the config");
      } else if (rival) {
        this.#tell(kv, `it overlaps with the older ${rival.kv.key} of ${nameOfNode(rival.lease.attrs)}`);
      } else {
        const own = { lease, kv };
        accepted.push(own);
        for (const name of names) bySubnet.set(name, own);
      }
    }
    return accepted;
  }

  /** The lease as the config has it, always the same object for the same lease, and its subnets' names. */
  #view(config: NetworkConfig | undefined, lease: Lease): View {
    if (config !== this.#config) this.#views = new WeakMap();
    this.#config = config;
    const known = this.#views.get(lease);
    if (known) return known;
    const kept = config ? inFamilies(config, lease) : lease;
    const view = { lease: kept, names: kept ? subnetsOf(kept).map(formatPrefix) : [] };
    this.#views.set(lease, view);
    return view;
  }

  /** A bad value over a good one changes nothing: nobody is to lose a route by it. */
  #put(kv: KeyValue): void {
    try {
      const known = this.#leases.get(kv.key);
      // One that was deleted and made again is younger than those that came meanwhile.
      if (known && known.kv.createRevision !== kv.createRevision) this.#leases.delete(kv.key);
      const isSame = known?.kv.valueText === kv.valueText;
      this.#leases.set(kv.key, isSame ? { lease: known.lease, kv } : readLease(this.#directory, kv));
      this.#unreadable.delete(kv.key);
    } catch (error) {
      this.#unreadable.set(kv.key, keySubnets(this.#directory, kv));
      this.#tell(kv, error instanceof Error ? error.message : String(error));
    }
  }

  #tell(kv: KeyValue, reason: string): void {
    if (this.#told.get(kv.key) === kv.modRevision) return;
    this.#told.set(kv.key, kv.modRevision);
    this.skipped++;
    this.#log.warn({ key: kv.key, reason }, "subnet: skipping what is no usable lease; delete it if it is nobody's");
  }
}

function byAge(a: KeyValue, b: KeyValue): number {
  return a.createRevision < b.createRevision ? -1 : a.createRevision > b.createRevision ? 1 : 0;
}

/** Whether all its subnets have the pool's size, so that they overlap with equal ones only. */
function isUsual(config: NetworkConfig | undefined, lease: Lease): boolean {
  const { subnet, ipv6Subnet } = lease;
  return (
    config !== undefined &&
    (subnet === undefined || subnet.length === config.ipv4?.subnetLength) &&
    (ipv6Subnet === undefined || ipv6Subnet.length === config.ipv6?.subnetLength)
  );
}
