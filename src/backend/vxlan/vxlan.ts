import {
  formatVxlanBackendData,
  type JsonObject,
  type LeaseAttrs,
  parseVxlanBackendData,
  parseVxlanOptions,
  type VxlanOptions,
} from "../../formats/flannel/index.ts";
import { type IpAddress, type IpFamily, type MacAddress, type Prefix, parseIpv4 } from "../../formats/netip/index.ts";
import { deleteLink } from "../../formats/netlink/index.ts";
import type { ActualState, WantedDevice, WantedPeer, WantedState } from "../../host/index.ts";
import { isNotFound } from "../../kernel/index.ts";
import type { Lease } from "../../subnet/index.ts";
import type { Backend, BackendOptions, ExternalInterface } from "../backend.ts";
import { BackendError } from "../errors.ts";
import { ensureVxlanDevice, OVERHEAD_BYTES, vxlanDeviceName, vxlanDeviceSpec } from "./device.ts";
import { deriveVtepMac } from "./mac.ts";
import { type Devices, leaseName, wantedPeer } from "./peers.ts";

/** What a node without IPv4 publishes; Flannel's readers need an IPv4 address there. */
const NO_IPV4 = parseIpv4("0.0.0.0");

/** Flannel's vxlan backend: a device `flannel.<VNI>`, and per peer an onlink route, a neighbour and an FDB entry. */
export class VxlanBackend implements Backend {
  readonly type = "vxlan";
  readonly deviceNames: readonly string[];
  readonly #families: readonly IpFamily[];
  readonly #vxlan: VxlanOptions;
  readonly #options: BackendOptions;
  /** Devices as they were last seen. */
  readonly #devices = new Map<IpFamily, { index: number; name: string }>();
  /** What was said of a lease that cannot be used, so that it is said once. */
  readonly #said = new Map<string, string>();

  /** @throws {FlannelError} when the network config's options are wrong */
  constructor(options: BackendOptions) {
    const { network } = options;
    this.#options = options;
    this.#vxlan = parseVxlanOptions(network.backend);
    this.#families = [...(network.ipv4 ? [4 as const] : []), ...(network.ipv6 ? [6 as const] : [])];
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
    const { publicIp, publicIpv6 } = external;
    const [hasV4, hasV6] = [this.#families.includes(4), this.#families.includes(6)];
    if (hasV4 && !publicIp) throw noAddress(external, 4);
    if (hasV6 && !publicIpv6) throw noAddress(external, 6);
    return {
      backendType: this.type,
      publicIp: hasV4 && publicIp ? publicIp : NO_IPV4,
      ...(hasV4 && publicIp && { backendData: data(publicIp, 4) }),
      ...(hasV6 && publicIpv6 && { publicIpv6, backendV6Data: data(publicIpv6, 6) }),
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
    for (const family of this.#families) {
      const local = family === 4 ? external.address : external.ipv6Address;
      if (!local) throw noAddress(external, family);
      const data = parseVxlanBackendData(family === 4 ? attrs.backendData : attrs.backendV6Data);
      const spec = vxlanDeviceSpec(this.#vxlan, external, local, data.vtepMac);
      const { link, isNew } = ensureVxlanDevice(this.#options, spec);
      this.#devices.set(family, { index: link.index, name: link.name });
      if (isNew) made.push(link.name);
    }
    return made;
  }

  wanted(own: Lease, peers: readonly Lease[], external: ExternalInterface, actual: ActualState): WantedState {
    const context = {
      own,
      devices: Object.fromEntries([...this.#devices].map(([family, { index }]) => [family, index])) as Devices,
      ownAddresses: present([external.address, external.ipv6Address, external.publicIp, external.publicIpv6]),
      ...(this.#vxlan.directRouting && { routes: actual.routes }),
    };
    const { ipv4, ipv6 } = this.#options.network;
    return {
      devices: [...this.#devices].map(([family, device]) => wantedDevice(family, device, own)),
      peers: peers.flatMap((lease) => this.#usable(lease, wantedPeer(lease, context))),
      ranges: present([ipv4?.network, ipv6?.network]),
    };
  }

  #usable(lease: Lease, peer: WantedPeer | string): readonly WantedPeer[] {
    const name = leaseName(lease);
    if (typeof peer !== "string") {
      this.#said.delete(name);
      return [peer];
    }
    if (this.#said.get(name) !== peer) this.#options.log.warn({ lease: name }, `ignoring lease ${name}: ${peer}`);
    this.#said.set(name, peer);
    return [];
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

function noAddress(external: ExternalInterface, family: IpFamily): BackendError {
  return new BackendError(
    `Cannot use interface ${external.name}: it has no IPv${family} address, and the network config enables IPv${family}; ` +
      `give it one, or name another with --iface`,
  );
}

function present<T>(items: readonly (T | undefined)[]): T[] {
  return items.filter((item) => item !== undefined);
}
