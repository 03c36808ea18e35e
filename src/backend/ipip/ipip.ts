import { type IpipOptions, type LeaseAttrs, parseIpipOptions } from "../../formats/flannel/index.ts";
import { deleteLink } from "../../formats/netlink/index.ts";
import type { ActualState, WantedPeer, WantedState } from "../../host/index.ts";
import { isNotFound } from "../../kernel/index.ts";
import type { Lease } from "../../subnet/index.ts";
import { noAddress, publicAddresses, rangesOf } from "../addresses.ts";
import type { Backend, BackendOptions, ExternalInterface } from "../backend.ts";
import { ensureDevice, findDevice } from "../device.ts";
import { directInterface } from "../direct-routing.ts";
import { BackendError } from "../errors.ts";
import { clashWithSelf, leaseName, otherBackend, PeerLeases, type Self, selfOf } from "../peer-leases.ts";
import { IPIP_DEVICE, IPIP_DEVICE_NAME, type IpipDeviceSpec, ipipDeviceSpec, OVERHEAD_BYTES } from "./device.ts";

/**
 * Flannel's ipip backend: one device `flannel.ipip` without a remote address, and per peer an onlink route whose gateway,
 * the node's public address, is where the outer packet goes. IPv4 in IPv4 only.
 */
export class IpipBackend implements Backend {
  readonly type = "ipip";
  readonly deviceNames: readonly string[] = [IPIP_DEVICE_NAME];
  readonly followsRoutes: boolean;
  readonly #options: BackendOptions;
  readonly #ipip: IpipOptions;
  readonly #peers: PeerLeases;
  #index: number | undefined;

  /** @throws {FlannelError} @throws {BackendError} when the network config enables IPv6 */
  constructor(options: BackendOptions) {
    const { network, log } = options;
    this.#options = options;
    this.#ipip = parseIpipOptions(network.backend);
    this.followsRoutes = this.#ipip.directRouting;
    this.#peers = new PeerLeases(log);
    if (network.ipv6)
      throw new BackendError(
        "Cannot start backend ipip: it carries IPv4 only, and the network config enables IPv6; " +
          "set EnableIPv6 to false, or Backend.Type to vxlan, host-gw or wireguard",
      );
  }

  mtuBytes(external: ExternalInterface): number {
    return external.mtuBytes - OVERHEAD_BYTES;
  }

  leaseAttrs(external: ExternalInterface): LeaseAttrs {
    return { backendType: this.type, ...publicAddresses(external, [4]) };
  }

  ensureDevices(external: ExternalInterface): readonly string[] {
    const { link, isNew } = ensureDevice(this.#options, this.#spec(external), IPIP_DEVICE);
    this.#index = link.index;
    return isNew ? [link.name] : [];
  }

  findDevices(external: ExternalInterface): readonly string[] {
    const { link, problems } = findDevice(this.#options.rtnl, this.#spec(external), IPIP_DEVICE);
    this.#index = link?.index;
    return problems;
  }

  #spec(external: ExternalInterface): IpipDeviceSpec {
    if (!external.address) throw noAddress(external, 4);
    return ipipDeviceSpec(external, external.address);
  }

  wanted(own: Lease, peers: readonly Lease[], external: ExternalInterface, actual: ActualState): WantedState {
    const index = this.#index;
    const address = own.subnet?.address;
    const ranges = rangesOf(this.#options.network);
    if (index === undefined) return { devices: [], peers: [], ranges };
    const context = { self: selfOf(own, external), index, actual };
    return {
      devices: [{ index, name: IPIP_DEVICE_NAME, addresses: address ? [{ address, length: 32 }] : [] }],
      peers: this.#peers.usable(peers, (lease) => this.#wantedPeer(lease, context)),
      ranges,
    };
  }

  #wantedPeer(lease: Lease, context: { self: Self; index: number; actual: ActualState }): WantedPeer | string {
    const other = otherBackend(lease, this.type);
    if (other !== undefined) return other;
    if (!lease.subnet) return "it has no subnet of a family that this node has";
    const { publicIp } = lease.attrs;
    const clash = clashWithSelf({ subnet: lease.subnet, publicIp }, context.self);
    if (clash !== undefined) return clash;
    const direct = this.#ipip.directRouting ? directInterface(publicIp, context.actual.routes) : undefined;
    // Onlink, as the node's address is no neighbour on the tunnel; on its own link it is.
    const by = direct === undefined ? { oif: context.index, onlink: true } : { oif: direct, onlink: false };
    return {
      key: leaseName(lease),
      neighbours: [],
      fdb: [],
      routes: [{ dst: lease.subnet, gateway: publicIp, ...by }],
    };
  }

  removeDevices(): void {
    this.#options.rtnl.execute(deleteLink({ name: IPIP_DEVICE_NAME }), { tolerate: isNotFound });
    this.#index = undefined;
  }
}
