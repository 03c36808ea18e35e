import { randomInt } from "node:crypto";
import { formatSubnetKey, type LeaseAttrs, type NetworkConfig, parseNetworkConfig } from "../formats/flannel/index.ts";
import { type Ipv4Address, type Prefix, parseIpv4 } from "../formats/netip/index.ts";
import type { Log, Store } from "../store/index.ts";
import { acquireLease, type ListedLeases } from "./acquire.ts";
import { fitsConfig } from "./allocate.ts";
import { SubnetError } from "./errors.ts";
import { keepLease } from "./keep.ts";
import { isSameNode, type Lease } from "./lease.ts";
import { LeaseSet } from "./lease-set.ts";
import { moveLease } from "./move.ts";
import { News } from "./news.ts";
import { Presence } from "./presence.ts";

/** Flannel's --subnet-lease-renew-margin. */
const RENEW_MARGIN_MS = 60 * 60 * 1000;
const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };
const NO_IPV4: Ipv4Address = parseIpv4("0.0.0.0");

export interface SubnetManagerOptions {
  readonly store: Store;
  /** Default `/coreos.com/network`. */
  readonly prefix?: string;
  readonly log: Log;
  /** By which this node is told from another with the same public IP. Default: the host's name. */
  readonly nodeName?: string | undefined;
}

/** Flannel's subnet manager: who owns which subnet, in a store shared with Flannel nodes. */
export class SubnetManager {
  readonly prefix: string;
  readonly #store: Store;
  readonly #log: Log;
  readonly #presence: Presence;
  readonly #watched: LeaseSet;
  #config: NetworkConfig | undefined;

  constructor({ store, prefix = "/coreos.com/network", log, nodeName }: SubnetManagerOptions) {
    this.#store = store;
    this.#log = log;
    this.prefix = prefix.replace(/\/+$/, "");
    this.#presence = new Presence({ store, prefix: this.prefix, nodeName });
    this.#watched = new LeaseSet(this.#directory, log);
  }

  /** `<prefix>/config`, waiting for it to be there. @throws {FlannelError} when it is there and wrong */
  async networkConfig(signal: AbortSignal): Promise<NetworkConfig> {
    for await (const message of this.#store.watch(this.#configKey, signal)) {
      const kvs = message.type === "snapshot" ? message.kvs : message.events.map(({ kv }) => kv);
      // A deleted key has no value, and no version.
      const found = kvs.findLast(({ key, version }) => key === this.#configKey && version > 0n);
      if (found) {
        this.#config = parseNetworkConfig(found.valueText);
        return this.#config;
      }
      if (message.type === "snapshot") this.#log.warn({ key: this.#configKey }, `subnet: waiting for ${this.#advice}`);
    }
    signal.throwIfAborted();
    throw new SubnetError("config", `Cannot read the network config ${this.#configKey}: the store was closed`);
  }

  /**
   * This node's lease: its old one, the one of `previous` (from subnet.env), or a free one.
   * @throws {SubnetError} when there is none left, or another live node has this PublicIP
   * @throws {FlannelError} when the network config is wrong
   */
  async acquire(attrs: LeaseAttrs, previous: readonly Prefix[] = []): Promise<Lease> {
    const config = await this.#readConfig();
    const own = ownAttrs(config, attrs);
    await this.#presence.claim(own);
    return acquireLease({
      store: this.#store,
      directory: this.#directory,
      config,
      attrs: own,
      previous,
      list: () => this.#list(),
      random: (below) => randomInt(below),
      log: this.#log,
    });
  }

  /**
   * Renews the lease `renewMarginMs` before it expires, and takes the same subnet again when it was lost, until
   * `signal`. Never gives up and never touches anything but the store. `onChange`: the lease as it now is.
   */
  keep(
    lease: Lease,
    signal: AbortSignal,
    renewMarginMs: number = RENEW_MARGIN_MS,
    onChange: (lease: Lease) => void = () => {},
  ): Promise<void> {
    const [store, directory, presence, log] = [this.#store, this.#directory, this.#presence, this.#log];
    return keepLease({ store, directory, presence, log, lease, renewMarginMs, onChange }, signal);
  }

  /**
   * Tells the other nodes of another address: the same subnet with other attributes. Not while keep() runs, which would
   * put the old ones back. @throws {SubnetError} when another live node has this PublicIP, or has taken the subnet
   */
  async move(lease: Lease, attrs: LeaseAttrs): Promise<Lease> {
    await this.#presence.claim(attrs);
    return moveLease(this.#store, this.#directory, lease, attrs);
  }

  /**
   * Every node's lease (our own too), the whole set each time it changes; ends with `signal`. While the store is away
   * nothing is said: the last set holds.
   */
  async *watch(signal: AbortSignal): AsyncGenerator<readonly Lease[], void, void> {
    const stop = new AbortController();
    const news = new News();
    const applying = news.from(this.#store.watch(this.#directory, AbortSignal.any([signal, stop.signal])), (message) =>
      this.#watched.apply(message),
    );
    let told: readonly Lease[] | undefined;
    try {
      while (await news.next()) {
        const leases = this.#watched.leases(this.#config).map(({ lease }) => lease);
        // Renewals and what is skipped make no difference to anybody: a lease that says the same is the same object.
        if (told?.length === leases.length && leases.every((lease, i) => lease === told?.[i])) continue;
        told = leases;
        yield leases;
      }
    } finally {
      stop.abort();
      await applying;
    }
  }

  /** Every node's lease as the store has them now, those that watch() would give. @throws {EtcdError} */
  async leases(signal: AbortSignal): Promise<readonly Lease[]> {
    for await (const leases of this.watch(signal)) return leases;
    signal.throwIfAborted();
    throw new SubnetError("config", `Cannot list the leases of ${this.prefix}: the store was closed`);
  }

  /** The lease of the node with these public addresses, and until when it has it. @throws {EtcdError} */
  async held(node: Pick<Partial<LeaseAttrs>, "publicIp" | "publicIpv6">): Promise<Lease | undefined> {
    const attrs = { publicIp: NO_IPV4, backendType: "", ...node };
    const { leases } = await this.#list();
    const config = this.#config;
    const own = leases.filter(({ lease }) => isSameNode(lease.attrs, attrs));
    const found = own.find(({ lease }) => config && fitsConfig(config, lease)) ?? own[0];
    if (!found) return undefined;
    const { lease, kv } = found;
    const left = kv.lease === 0n ? undefined : await this.#store.timeToLive(kv.lease);
    return left ? { ...lease, expiresAt: new Date(Date.now() + 1000 * left.ttlSeconds) } : lease;
  }

  /** Gives a lease of held() back, and says that this node is not there any more. @throws {EtcdError} */
  async release(own: Lease): Promise<void> {
    const { leases } = await this.#list();
    const stored = leases.find(({ lease, kv }) => isSameNode(lease.attrs, own.attrs) && kv.key === this.#keyOf(own));
    if (stored)
      await this.#store.txn({
        compare: [{ key: stored.kv.key, target: "modRevision", value: stored.kv.modRevision }],
        success: [{ op: "delete", key: stored.kv.key }],
      });
    await this.#presence.leave(own.attrs);
  }

  #keyOf(lease: Lease): string {
    return this.#directory + formatSubnetKey(lease);
  }

  /** How many keys and values under `<prefix>/subnets/` were skipped because they are not usable leases. */
  get skipped(): number {
    return this.#watched.skipped;
  }

  get #configKey(): string {
    return `${this.prefix}/config`;
  }

  get #directory(): string {
    return `${this.prefix}/subnets/`;
  }

  get #advice(): string {
    const example = '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}';
    return `the network config: put it with etcdctl put ${this.#configKey} '${example}'`;
  }

  async #readConfig(): Promise<NetworkConfig> {
    const kv = await this.#store.get(this.#configKey);
    if (!kv) throw new SubnetError("config", `Cannot acquire a subnet without ${this.#advice}`);
    this.#config = parseNetworkConfig(kv.valueText);
    return this.#config;
  }

  /** What can be read of the leases; the rest is watch()'s to tell. */
  async #list(): Promise<ListedLeases> {
    const { kvs, revision } = await this.#store.list(this.#directory);
    const set = new LeaseSet(this.#directory, SILENT);
    set.apply({ type: "snapshot", kvs, revision });
    return { leases: set.all(), taken: set.taken() };
  }
}

/** The attributes as the config has them: no address of a family that is not in use. @throws {SubnetError} */
function ownAttrs(config: NetworkConfig, attrs: LeaseAttrs): LeaseAttrs {
  const missing = (family: string, flag: string): SubnetError =>
    new SubnetError(
      "config",
      `Cannot acquire a subnet: the network config enables ${family}, but this node has no public ${family} address; ` +
        `give it one (--${flag}, or an interface that has one), or disable ${family} in the config`,
    );
  if (config.ipv6 && attrs.publicIpv6 === undefined) throw missing("IPv6", "public-ipv6");
  if (!config.ipv4) return { ...attrs, publicIp: NO_IPV4 };
  if (attrs.publicIp === NO_IPV4) throw missing("IPv4", "public-ip");
  return attrs;
}
