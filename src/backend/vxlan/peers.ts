import { parseVxlanBackendData } from "../../formats/flannel/index.ts";
import {
  type IpAddress,
  type IpFamily,
  type MacAddress,
  type Prefix,
  prefixFamily,
} from "../../formats/netip/index.ts";
import type { Route } from "../../formats/netlink/index.ts";
import type { WantedPeer } from "../../host/index.ts";
import type { Lease } from "../../subnet/index.ts";
import { directInterface } from "../direct-routing.ts";
import { clashWithSelf, leaseName, otherBackend, type Self } from "../peer-leases.ts";

/** One family's part of a peer's lease. */
interface Vtep {
  readonly subnet: Prefix;
  readonly mac: MacAddress;
  readonly publicIp: IpAddress;
}

/** The device of each family, as index. */
export type Devices = Readonly<Partial<Record<IpFamily, number>>>;

export interface PeerContext extends Self {
  readonly devices: Devices;
  /** With DirectRouting: the kernel's routes, to see who is reached without a router between. */
  readonly routes?: readonly Route[];
}

/** What the peer needs, or why its lease cannot be used. */
export function wantedPeer(lease: Lease, context: PeerContext): WantedPeer | string {
  const key = leaseName(lease);
  const other = otherBackend(lease, "vxlan");
  if (other !== undefined) return other;
  const vteps: Vtep[] = [];
  try {
    vteps.push(...vtepsOf(lease, context.devices));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  if (vteps.length === 0) return "it has no subnet of a family that this node has";
  for (const vtep of vteps) {
    const clash = clashWithSelf(vtep, context);
    if (clash !== undefined) return clash;
  }
  const parts = vteps.map((vtep) => vtepParts(vtep, context));
  return {
    key,
    neighbours: parts.flatMap((part) => part.neighbours),
    fdb: parts.flatMap((part) => part.fdb),
    routes: parts.flatMap((part) => part.routes),
  };
}

function vtepsOf(lease: Lease, devices: Devices): Vtep[] {
  const { subnet, ipv6Subnet, attrs } = lease;
  const vteps: Vtep[] = [];
  if (devices[4] !== undefined && subnet)
    vteps.push({ subnet, mac: parseVxlanBackendData(attrs.backendData).vtepMac, publicIp: attrs.publicIp });
  if (devices[6] !== undefined && ipv6Subnet && attrs.publicIpv6) {
    const { vtepMac } = parseVxlanBackendData(attrs.backendV6Data);
    vteps.push({ subnet: ipv6Subnet, mac: vtepMac, publicIp: attrs.publicIpv6 });
  }
  return vteps;
}

function vtepParts({ subnet, mac, publicIp }: Vtep, context: PeerContext): Omit<WantedPeer, "key"> {
  const directOif = context.routes && directInterface(publicIp, context.routes);
  if (directOif !== undefined)
    return { neighbours: [], fdb: [], routes: [{ dst: subnet, gateway: publicIp, oif: directOif, onlink: false }] };
  const index = context.devices[prefixFamily(subnet)];
  if (index === undefined) return { neighbours: [], fdb: [], routes: [] };
  const gateway = subnet.address;
  return {
    neighbours: [{ index, address: gateway, lladdr: mac }],
    fdb: [{ index, lladdr: mac, dst: publicIp }],
    routes: [{ dst: subnet, gateway, oif: index, onlink: true }],
  };
}
