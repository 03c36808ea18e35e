import {
  formatVxlanBackendData,
  type JsonObject,
  type LeaseAttrs,
  parseVxlanBackendData,
  parseVxlanOptions,
  type VxlanOptions,
} from "../../formats/flannel/index.ts";
import type { IpAddress, IpFamily, MacAddress, Prefix } from "../../formats/netip/index.ts";
import { deleteLink } from "../../formats/netlink/index.ts";
import type { ActualState, WantedDevice, WantedState } from "../../host/index.ts";
import { isNotFound } from "../../kernel/index.ts";
import type { Lease } from "../../subnet/index.ts";
import { familiesOf, NO_IPV4, noAddress, publicAddresses, rangesOf } from "../addresses.ts";
import type { Backend, BackendOptions, ExternalInterface } from "../backend.ts";
import { findDevice } from "../device.ts";
import { PeerLeases, selfOf } from "../peer-leases.ts";
import {
  ensureVxlanDevice,
  OVERHEAD_BYTES,
  VXLAN_DEVICE,
  type VxlanDeviceSpec,
  vxlanDeviceName,
  vxlanDeviceSpec,
} from "./device.ts";
import { deriveVtepMac } from "./mac.ts";
import { type Devices, wantedPeer } from "./peers.ts";

/** Flannel's vxlan backend: a device `flannel.<VNI>`, and per peer an onlink route, a neighbour and an FDB entry. */
export class VxlanBackend implements Backend {
  readonly type = "vxlan";
  readonly deviceNames: readonly string[];
  readonly followsRoutes: boolean;
  readonly #families: readonly IpFamily[];
  readonly #vxlan: VxlanOptions;
  readonly #options: BackendOptions;
  /** Devices as they were last seen. */
  readonly #devices = new Map<IpFamily, { index: number; name: string }>();
  readonly #peers: PeerLeases;

  /** @throws {FlannelError} when the network config's options are wrong */
  constructor(options: BackendOptions) {
    const { network } = options;
    this.#options = options;
    this.#vxlan = parseVxlanOptions(network.backend);
    this.followsRoutes = this.#vxlan.directRouting;
    this.#families = familiesOf(network);
    this.#peers = new PeerLeases(options.log);
    this.deviceNames = this.#families.map((family) => vxlanDeviceName(this.#vxlan.vni, family));
  }

  mtuBytes(external: ExternalInterface): number {
    // Pods have one MTU for both families: the smaller one.
    return (this.#vxlan.mtuBytes ?? external.mtuBytes) - OVERHEAD_BYTES[this.#families.includes(6) ? 6 : 4];
  }

  leaseAttrs(external: ExternalInterface, leases: readonly Lease[]): LeaseAttrs {
    const previous = leases.find(({ attrs }) => attrs.backendType === this.type && isOf(attrs, external))?.attrs;
    const data = (publicIp: IpAddress, family: IpFamily): JsonObject =>
      formatVxlanBackendData({ vni: this.#vxlan.vni, vtepMac: this.#vtepMac(publicIp, family, previous) });
    const { publicIp, publicIpv6 } = publicAddresses(external, this.#families);
    return {
      backendType: this.type,
      publicIp,
      ...(this.#families.includes(4) && { backendData: data(publicIp, 4) }),
      ...(publicIpv6 && { publicIpv6, backendV6Data: data(publicIpv6, 6) }),
    };
  }

  /** The device's own; else the one this node's lease tells the others; else the derived one, which is always the same. */
  #vtepMac(publicIp: IpAddress, family: IpFamily, previous: LeaseAttrs | undefined): MacAddress {
    const link = this.#options.rtnl.link(vxlanDeviceName(this.#vxlan.vni, family));
    if (link?.kind?.kind === "vxlan" && link.address) return link.address;
    try {
      const data = family === 4 ? previous?.backendData : previous?.backendV6Data;
      if (data !== undefined) return parseVxlanBackendData(data).vtepMac;
    } catch (error) {
      this.#options.log.warn({ err: error }, "ignoring the backend data of this node's own lease");
    }
    return deriveVtepMac(publicIp, this.#vxlan.vni);
  }

  ensureDevices(external: ExternalInterface, attrs: LeaseAttrs): readonly string[] {
    const made: string[] = [];
    for (const { family, spec } of this.#specs(external, attrs)) {
      const { link, isNew } = ensureVxlanDevice(this.#options, spec);
      this.#devices.set(family, { index: link.index, name: link.name });
      if (isNew) made.push(link.name);
    }
    return made;
  }

  findDevices(external: ExternalInterface, attrs: LeaseAttrs): readonly string[] {
    this.#devices.clear();
    return this.#specs(external, attrs).flatMap(({ family, spec }) => {
      const { link, problems } = findDevice(this.#options.rtnl, spec, VXLAN_DEVICE);
      if (link) this.#devices.set(family, { index: link.index, name: link.name });
      return problems;
    });
  }

  #specs(external: ExternalInterface, attrs: LeaseAttrs): { family: IpFamily; spec: VxlanDeviceSpec }[] {
    return this.#families.map((family) => {
      const local = family === 4 ? external.address : external.ipv6Address;
      if (!local) throw noAddress(external, family);
      const data = parseVxlanBackendData(family === 4 ? attrs.backendData : attrs.backendV6Data);
      return { family, spec: vxlanDeviceSpec(this.#vxlan, external, local, data.vtepMac) };
    });
  }

  wanted(own: Lease, peers: readonly Lease[], external: ExternalInterface, actual: ActualState): WantedState {
    const context = {
      ...selfOf(own, external),
      devices: Object.fromEntries([...this.#devices].map(([family, { index }]) => [family, index])) as Devices,
      ...(this.#vxlan.directRouting && { routes: actual.routes }),
    };
    return {
      devices: [...this.#devices].map(([family, device]) => wantedDevice(family, device, own)),
      // With the kernel's routes in it, what a peer needs may change with any of them.
      peers: this.#peers.usable(
        peers,
        (lease) => wantedPeer(lease, context),
        this.#vxlan.directRouting ? undefined : JSON.stringify(context),
      ),
      ranges: rangesOf(this.#options.network),
    };
  }

  removeDevices(): void {
    for (const name of this.deviceNames) this.#options.rtnl.execute(deleteLink({ name }), { tolerate: isNotFound });
    this.#devices.clear();
  }
}

/** The subnet's own address with all bits as prefix: `10.244.1.0/32`, which draws no traffic by itself. */
function wantedDevice(family: IpFamily, device: { index: number; name: string }, own: Lease): WantedDevice {
  const subnet: Prefix | undefined = family === 4 ? own.subnet : own.ipv6Subnet;
  return { ...device, addresses: subnet ? [{ address: subnet.address, length: family === 4 ? 32 : 128 }] : [] };
}

/** Whether the lease is that of the node with these addresses. */
function isOf(attrs: LeaseAttrs, external: ExternalInterface): boolean {
  return attrs.publicIp === NO_IPV4 ? attrs.publicIpv6 === external.publicIpv6 : attrs.publicIp === external.publicIp;
}
