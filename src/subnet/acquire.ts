// Acquisition, Flannel's order: the node's own lease, else its previous subnet, else a free one. Every step is a
// transaction; whoever loses a race looks again.
import { formatLeaseAttrs, formatSubnetKey, type LeaseAttrs, type NetworkConfig } from "../formats/flannel/index.ts";
import { formatPrefix, type Prefix, prefixesOverlap, prefixFamily } from "../formats/netip/index.ts";
import type { Compare, KeyValue, Log, Store } from "../store/index.ts";
import { chooseSubnet, countSubnets, describeFullPool, fitsConfig } from "./allocate.ts";
import { SubnetError } from "./errors.ts";
import { isSameNode, type Lease, leasesOverlap, nameOfNode, type StoredLease, subnetsOf } from "./lease.ts";

/** Flannel's subnetTTL. */
export const SUBNET_TTL_SECONDS: number = 24 * 60 * 60;
const TRIES = 20;
/** One in so many left is few. */
const FEW = 10n;

export interface ListedLeases {
  readonly leases: readonly StoredLease[];
  /** Their subnets, and those of keys whose values cannot be read. */
  readonly taken: readonly Prefix[];
}

export interface Acquisition {
  readonly store: Store;
  /** `<prefix>/subnets/`. */
  readonly directory: string;
  readonly config: NetworkConfig;
  readonly attrs: LeaseAttrs;
  readonly previous: readonly Prefix[];
  readonly list: () => Promise<ListedLeases>;
  readonly random: (below: number) => number;
  readonly log: Log;
}

/** @throws {SubnetError} @throws {EtcdError} */
export async function acquireLease(acquisition: Acquisition): Promise<Lease> {
  for (let tries = 0; tries < TRIES; tries++) {
    const listed = await acquisition.list();
    const lease = (await reuse(acquisition, listed.leases)) ?? (await create(acquisition, listed.taken));
    if (lease) return lease;
  }
  throw new SubnetError(
    "contended",
    `Cannot acquire a subnet for ${nameOfNode(acquisition.attrs)}: other nodes were faster ${TRIES} times; try again`,
  );
}

/** Puts our attributes over the lease that is ours already; undefined: there is none, or the race was lost. */
async function reuse(acquisition: Acquisition, leases: readonly StoredLease[]): Promise<Lease | undefined> {
  const { attrs, config, log } = acquisition;
  const own = leases.filter(({ lease }) => isSameNode(lease.attrs, attrs));
  const usable = own.find(({ lease }) => fitsConfig(config, lease));
  for (const { lease, kv } of own) {
    // A reservation is somebody's wish; what we once took and the config does not allow any more is only in the way.
    if (fitsConfig(config, lease) || kv.lease === 0n) continue;
    log.info({ key: kv.key }, "subnet: gives up a lease that the network config does not allow any more");
    await deleteUnchanged(acquisition, kv);
  }
  if (!usable) return undefined;
  const { kv, lease } = usable;
  const value = formatLeaseAttrs(attrs);
  if (kv.valueText !== value && kv.lease !== 0n) {
    // A Flannel peer keeps the old MAC and address of a lease that is overwritten, and forgets those of a deleted one.
    if (!(await deleteUnchanged(acquisition, kv))) return undefined;
    return putLease(acquisition, { ...lease, attrs }, kv.key, { key: kv.key, target: "version", value: 0n });
  }
  const isUnchanged: Compare = { key: kv.key, target: "modRevision", value: kv.modRevision };
  return putLease(acquisition, { ...lease, attrs }, kv.key, isUnchanged, kv.lease === 0n);
}

async function create(acquisition: Acquisition, taken: readonly Prefix[]): Promise<Lease | undefined> {
  const { attrs, directory } = acquisition;
  const subnets = previousSubnets(acquisition, taken) ?? newSubnets(acquisition, taken);
  const key = directory + formatSubnetKey(subnets);
  const lease = await putLease(acquisition, { ...subnets, attrs }, key, { key, target: "version", value: 0n });
  if (!lease) return undefined;
  // The transaction looked at one key; a subnet can overlap with one of another key too: of both families, say.
  const { leases: now } = await acquisition.list();
  const own = now.find(({ kv }) => kv.key === key);
  const rival = now.find(
    ({ kv, lease: other }) => kv.key !== key && leasesOverlap(other, lease) && isOlder(kv, own?.kv),
  );
  if (!rival) {
    tellHowMany(acquisition, [...taken, ...subnetsOf(lease)]);
    return lease;
  }
  if (own && isSameNode(own.lease.attrs, attrs)) await deleteUnchanged(acquisition, own.kv);
  return undefined;
}

function isOlder(a: KeyValue, b: KeyValue | undefined): boolean {
  return b === undefined || a.createRevision < b.createRevision;
}

/** So that an operator hears of a pool that runs out before it has. */
function tellHowMany({ config, log }: Acquisition, taken: readonly Prefix[]): void {
  for (const pool of [config.ipv4, config.ipv6]) {
    if (!pool) continue;
    const { all, free } = countSubnets(pool, taken);
    const fields = { network: formatPrefix(pool.network), free: String(free), of: String(all) };
    if (free * FEW > all) log.info(fields, "subnet: took a free one");
    else
      log.warn(fields, "subnet: few are left; delete the leases of nodes that are gone, or widen the network config");
  }
}

type Subnets = Pick<Lease, "subnet" | "ipv6Subnet">;

function previousSubnets({ config, previous }: Acquisition, taken: readonly Prefix[]): Subnets | undefined {
  const of = (family: 4 | 6): Prefix | undefined => previous.find((prefix) => prefixFamily(prefix) === family);
  const [subnet, ipv6Subnet] = [config.ipv4 && of(4), config.ipv6 && of(6)];
  const subnets = { ...(subnet && { subnet }), ...(ipv6Subnet && { ipv6Subnet }) };
  const isFree = subnetsOf(subnets).every((prefix) => !taken.some((other) => prefixesOverlap(prefix, other)));
  return isFree && fitsConfig(config, subnets) ? subnets : undefined;
}

function newSubnets({ config, attrs, random }: Acquisition, taken: readonly Prefix[]): Subnets {
  const choose = (pool: NetworkConfig["ipv4"]): Prefix | undefined => {
    if (!pool) return undefined;
    const subnet = chooseSubnet(pool, taken, random);
    if (subnet) return subnet;
    throw new SubnetError(
      "exhausted",
      `Cannot acquire a subnet of ${formatPrefix(pool.network)} for ${nameOfNode(attrs)}: ` +
        `${describeFullPool(pool, taken)}; delete the leases of nodes that are gone, or widen the network config`,
    );
  };
  const [subnet, ipv6Subnet] = [choose(config.ipv4), choose(config.ipv6)];
  return { ...(subnet && { subnet }), ...(ipv6Subnet && { ipv6Subnet }) };
}

/** Puts the lease with a day to live if `condition` holds; undefined when it does not. */
export async function putLease(
  { store }: Pick<Acquisition, "store">,
  lease: Lease,
  key: string,
  condition: Compare,
  isReservation = false,
): Promise<Lease | undefined> {
  const { expiresAt: _old, ...claim } = lease;
  const value = formatLeaseAttrs(lease.attrs);
  const id = isReservation ? 0n : await store.grant(SUBNET_TTL_SECONDS);
  const expiresAt = new Date(Date.now() + 1000 * SUBNET_TTL_SECONDS);
  const { succeeded } = await store.txn({ compare: [condition], success: [{ op: "put", key, value, lease: id }] });
  if (succeeded) return isReservation ? claim : { ...claim, expiresAt };
  if (!isReservation) await store.revoke(id);
  return undefined;
}

/** False: somebody changed it meanwhile. */
export async function deleteUnchanged({ store }: Pick<Acquisition, "store">, kv: KeyValue): Promise<boolean> {
  const { succeeded } = await store.txn({
    compare: [{ key: kv.key, target: "modRevision", value: kv.modRevision }],
    success: [{ op: "delete", key: kv.key }],
  });
  return succeeded;
}
