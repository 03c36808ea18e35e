import type { LeaseAttrs } from "../../formats/flannel/index.ts";
import type { IpAddress, IpFamily, Prefix } from "../../formats/netip/index.ts";
import { prefixFamily } from "../../formats/netip/index.ts";
import { deleteRoute } from "../../formats/netlink/index.ts";
import {
  type ActualState,
  RTPROT_PODPATH,
  type WantedPeer,
  type WantedRoute,
  type WantedState,
} from "../../host/index.ts";
import { isNotFound } from "../../kernel/index.ts";
import type { Lease } from "../../subnet/index.ts";
import { familiesOf, noAddress, publicAddresses, rangesOf } from "../addresses.ts";
import type { Backend, BackendOptions, ExternalInterface } from "../backend.ts";
import { BackendError } from "../errors.ts";
import { clashWithSelf, leaseName, otherBackend, PeerLeases, type Self, selfOf } from "../peer-leases.ts";

/**
 * Flannel's host-gw backend: no device and no encapsulation. Each peer is the next hop to its own subnet, so all nodes
 * have to be on one link.
 */
export class HostGwBackend implements Backend {
  readonly type = "host-gw";
  readonly deviceNames: readonly string[] = [];
  readonly #options: BackendOptions;
  readonly #families: readonly IpFamily[];
  readonly #peers: PeerLeases;
  /** Routes of ours that were there before this process wanted any: not its own to undo. */
  #before: ReadonlySet<string> | undefined;
  #routes: readonly WantedRoute[] = [];

  constructor(options: BackendOptions) {
    this.#options = options;
    this.#families = familiesOf(options.network);
    this.#peers = new PeerLeases(options.log);
  }

  mtuBytes(external: ExternalInterface): number {
    return external.mtuBytes;
  }

  leaseAttrs(external: ExternalInterface): LeaseAttrs {
    const attrs = { backendType: this.type, ...publicAddresses(external, this.#families) };
    for (const family of this.#families) refuseNat(external, family);
    return attrs;
  }

  ensureDevices(): readonly string[] {
    return [];
  }

  findDevices(): readonly string[] {
    return [];
  }

  wanted(own: Lease, peers: readonly Lease[], external: ExternalInterface, actual: ActualState): WantedState {
    this.#before ??= new Set(
      actual.routes.filter((r) => r.protocol === RTPROT_PODPATH && r.dst).map((r) => key(r as { dst: Prefix })),
    );
    const self = selfOf(own, external);
    const wantedPeers = this.#peers.usable(
      peers,
      (lease) => this.#wantedPeer(lease, self, external.index),
      JSON.stringify([self, external.index]),
    );
    this.#routes = wantedPeers.flatMap((peer) => peer.routes);
    return { devices: [], peers: wantedPeers, ranges: rangesOf(this.#options.network) };
  }

  #wantedPeer(lease: Lease, self: Self, oif: number): WantedPeer | string {
    const other = otherBackend(lease, this.type);
    if (other !== undefined) return other;
    const parts = this.#families.flatMap((family) => partOf(lease, family));
    if (parts.length === 0) return "it has no subnet of a family that this node has";
    for (const part of parts) {
      const clash = clashWithSelf(part, self);
      if (clash !== undefined) return clash;
    }
    const routes = parts.map(({ subnet, publicIp }) => ({ dst: subnet, gateway: publicIp, oif, onlink: false }));
    return { key: leaseName(lease), neighbours: [], fdb: [], routes };
  }

  removeDevices(): void {
    // Without gateway and device, which a route that names a nexthop object does not have itself.
    for (const { dst } of this.#routes.filter((route) => !this.#before?.has(key(route))))
      this.#options.rtnl.execute(deleteRoute({ family: prefixFamily(dst), dst, protocol: RTPROT_PODPATH }), {
        tolerate: isNotFound,
      });
    this.#routes = [];
  }
}

/** The others route to the published address as their next hop, which has to be this interface itself. */
function refuseNat(external: ExternalInterface, family: IpFamily): void {
  const [published, address] =
    family === 4 ? [external.publicIp, external.address] : [external.publicIpv6, external.ipv6Address];
  if (address === undefined) throw noAddress(external, family);
  if (published === address) return;
  const flag = family === 4 ? "--public-ip" : "--public-ipv6";
  throw new BackendError(
    `Cannot use backend host-gw: the public address ${published} is not ${address}, the address of ${external.name}; ` +
      `it cannot reach nodes behind NAT. Leave ${flag} away, name the interface that has ${published} with --iface, ` +
      `or use the vxlan backend`,
  );
}

function partOf(lease: Lease, family: IpFamily): { readonly subnet: Prefix; readonly publicIp: IpAddress }[] {
  const { subnet, ipv6Subnet, attrs } = lease;
  if (family === 4) return subnet ? [{ subnet, publicIp: attrs.publicIp }] : [];
  return ipv6Subnet && attrs.publicIpv6 ? [{ subnet: ipv6Subnet, publicIp: attrs.publicIpv6 }] : [];
}

function key({ dst }: { readonly dst: Prefix }): string {
  return `${dst.address}/${dst.length}`;
}
