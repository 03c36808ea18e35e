import { type LeaseAttrs, parseUdpOptions } from "../../formats/flannel/index.ts";
import { formatPrefix, type Prefix } from "../../formats/netip/index.ts";
import { deleteLink, type Link, setLink } from "../../formats/netlink/index.ts";
import type { ActualState, StepFailure, WantedState } from "../../host/index.ts";
import { isNotFound, Tun } from "../../kernel/index.ts";
import type { Lease } from "../../subnet/index.ts";
import { noAddress, publicAddresses, rangesOf } from "../addresses.ts";
import type { Backend, BackendOptions, ExternalInterface, Traffic } from "../backend.ts";
import { BackendError } from "../errors.ts";
import { clashWithSelf, leaseName, PeerLeases, type Self, selfOf } from "../peer-leases.ts";
import { ForwarderProcess } from "./forwarder-process.ts";

/** The name Flannel's gets too, as it asks for the first free `flannel%d`. */
const DEVICE = "flannel0";
/** IPv4 and UDP header. */
const OVERHEAD_BYTES = 28;

/**
 * Flannel's udp backend: a TUN device that takes the packets to the whole network, and a process of ours that carries
 * each, as it is, in a UDP datagram to the node that has its address.
 */
export class UdpBackend implements Backend {
  readonly type = "udp";
  readonly deviceNames: readonly string[] = [DEVICE];
  readonly #options: BackendOptions;
  readonly #network: Prefix;
  readonly #port: number;
  readonly #peers: PeerLeases;
  readonly #forwarder: ForwarderProcess;
  #index: number | undefined;
  #hasCarried = false;

  /** @throws {FlannelError} when the network config's options are wrong @throws {BackendError} with IPv6 */
  constructor(options: BackendOptions) {
    const { network, log, ns } = options;
    if (!network.ipv4 || network.ipv6)
      throw new BackendError(
        "Cannot use backend udp: it carries IPv4 alone, and the network config enables IPv6; " +
          'leave EnableIPv6 away, or choose another backend, such as "Backend": {"Type": "vxlan"}',
      );
    this.#options = options;
    this.#network = network.ipv4.network;
    this.#port = parseUdpOptions(network.backend).port;
    this.#peers = new PeerLeases(log);
    this.#forwarder = new ForwarderProcess({ device: DEVICE, ns, log });
  }

  mtuBytes(external: ExternalInterface): number {
    return external.mtuBytes - OVERHEAD_BYTES;
  }

  leaseAttrs(external: ExternalInterface): LeaseAttrs {
    if (!external.address) throw noAddress(external, 4);
    // Flannel leaves the type out of such a lease.
    return { backendType: "", ...publicAddresses(external, [4]) };
  }

  ensureDevices(external: ExternalInterface): readonly string[] {
    const { rtnl } = this.#options;
    const had = rtnl.link(DEVICE);
    const link = had ?? this.#make();
    refuseOther(link);
    const mtu = this.mtuBytes(external);
    if (link.mtu !== mtu) rtnl.execute(setLink({ index: link.index, mtu }));
    this.#index = link.index;
    return had ? [] : [DEVICE];
  }

  /** It stays when its forwarder ends, with its address and routes: packets wait for the next one. */
  #make(): Link {
    const { rtnl, ns } = this.#options;
    try {
      Tun.makePersistent(DEVICE, ns);
    } catch (error) {
      throw new BackendError(`Cannot create ${DEVICE}: ${messageOf(error)}`, { cause: error });
    }
    const link = rtnl.link(DEVICE);
    if (!link) throw new BackendError(`Cannot keep ${DEVICE}: somebody deleted it as soon as it was made`);
    return link;
  }

  wanted(own: Lease, peers: readonly Lease[], external: ExternalInterface, _actual: ActualState): WantedState {
    const usable = this.#usable(own, peers, external);
    const [index, subnet] = [this.#index, own.subnet];
    const device = index !== undefined && {
      ...{ index, name: DEVICE },
      addresses: subnet ? [{ address: subnet.address, length: 32 }] : [],
      routes: [{ dst: this.#network, oif: index, onlink: false }],
    };
    return {
      devices: device ? [device] : [],
      peers: usable.map((lease) => ({ key: leaseName(lease), neighbours: [], fdb: [], routes: [] })),
      ranges: rangesOf(this.#options.network),
    };
  }

  #usable(own: Lease, peers: readonly Lease[], external: ExternalInterface): readonly Lease[] {
    const self = selfOf(own, external);
    return this.#peers.usable(peers, (lease) => whyUnusable(lease, self) ?? lease);
  }

  async settle(own: Lease, peers: readonly Lease[], external: ExternalInterface): Promise<readonly StepFailure[]> {
    if (!own.subnet || !external.address) return [];
    const table = this.#usable(own, peers, external).flatMap(({ subnet, attrs }) =>
      subnet ? [[formatPrefix(subnet), attrs.publicIp] as const] : [],
    );
    try {
      await this.#forwarder.configure({
        ...{ device: DEVICE, address: external.address, port: this.#port },
        ...{ subnet: formatPrefix(own.subnet), peers: table },
      });
      this.#hasCarried = true;
      return [];
    } catch (error) {
      // A node that has never carried a packet does not start; one that has tries again.
      if (!this.#hasCarried) throw error;
      return [{ of: `the forwarder of ${DEVICE}`, error }];
    }
  }

  traffic(): Traffic {
    return this.#forwarder.traffic;
  }

  async stop(): Promise<void> {
    this.#forwarder.close();
  }

  removeDevices(): void {
    // Its forwarder ends with it.
    this.#options.rtnl.execute(deleteLink({ name: DEVICE }), { tolerate: isNotFound });
    this.#index = undefined;
  }
}

function whyUnusable(lease: Lease, self: Self): string | undefined {
  const { subnet, attrs } = lease;
  // Flannel's udp and alloc leases have no type.
  if (attrs.backendType !== "") return `its backend is ${JSON.stringify(attrs.backendType)}, not udp`;
  if (!subnet) return "it has no IPv4 subnet";
  return clashWithSelf({ subnet, publicIp: attrs.publicIp }, self);
}

function refuseOther(link: Link): void {
  const { kind } = link;
  if (kind?.kind === "other" && kind.name === "tun") return;
  const is = kind === undefined ? "a physical device" : kind.kind === "other" ? kind.name : kind.kind;
  throw new BackendError(
    `Cannot use ${link.name}: it is no TUN device but ${is}; delete it with: ip link del ${link.name}`,
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
