import type { VxlanOptions } from "../../formats/flannel/index.ts";
import { type IpAddress, isIpv6, type MacAddress } from "../../formats/netip/index.ts";
import type { Link, LinkSpec, VxlanOptions as VxlanKindOptions } from "../../formats/netlink/index.ts";
import { type NetNs, readSysctl, writeSysctl } from "../../kernel/index.ts";
import type { ExternalInterface } from "../backend.ts";
import { type DeviceContext, type DeviceKind, ensureDevice, kindOf } from "../device.ts";

/** What Linux takes for a vxlan device's port when nobody names one; the IANA's number is 4789. */
const KERNEL_PORT = 8472;

/** Outer Ethernet excluded, as MTUs are: IP, UDP 8, VXLAN 8, inner Ethernet 14. */
export const OVERHEAD_BYTES = { 4: 50, 6: 70 } as const;

/** What `flannel.<VNI>` shall be. */
export interface VxlanDeviceSpec extends LinkSpec {
  readonly mtu: number;
  readonly address: MacAddress;
  readonly kind: VxlanKindOptions & { readonly link: number; readonly local: IpAddress; readonly port: number };
}

/** `ip link add flannel.1 … type vxlan id 1 local … dev eth0 dstport 8472 nolearning noudpcsum` */
export function vxlanDeviceSpec(
  options: VxlanOptions,
  external: ExternalInterface,
  local: IpAddress,
  address: MacAddress,
): VxlanDeviceSpec {
  const isV6 = isIpv6(local);
  return {
    name: vxlanDeviceName(options.vni, isV6 ? 6 : 4),
    mtu: (options.mtuBytes ?? external.mtuBytes) - OVERHEAD_BYTES[isV6 ? 6 : 4],
    address,
    kind: {
      kind: "vxlan",
      id: options.vni,
      link: external.index,
      // The interface's own address, even behind NAT: the kernel can send from no other.
      local,
      port: options.port || KERNEL_PORT,
      learning: options.learning,
      gbp: options.gbp,
      // A wrong or late outer checksum costs seconds on NICs that offload it badly. IPv6 demands one.
      udpCsum: isV6,
    },
  };
}

export function vxlanDeviceName(vni: number, family: 4 | 6): string {
  return family === 6 ? `flannel-v6.${vni}` : `flannel.${vni}`;
}

export const VXLAN_DEVICE: DeviceKind<VxlanDeviceSpec> = {
  module: "vxlan",
  config: "CONFIG_VXLAN",
  describe: ({ kind }) => `vxlan id ${kind.id}, local ${kind.local}, port ${kind.port}`,
  incompatibility,
  taken: ({ kind }) =>
    `another vxlan device has this VNI and port; find it with "ip -d link show type vxlan" and delete it, or set another Backend.VNI than ${kind.id}`,
};

/** Its udpcsum is left as it is, which cannot be changed. */
export function incompatibility(link: Link, spec: VxlanDeviceSpec): string | undefined {
  const is = link.kind;
  if (is?.kind !== "vxlan") return `it is no vxlan device but ${kindOf(link)}`;
  const pairs: [what: string, is: unknown, wanted: unknown][] = [
    ["VNI", is.id, spec.kind.id],
    ["lower device", is.link, spec.kind.link],
    ["local address", is.local, spec.kind.local],
    ["port", is.port, spec.kind.port],
    ["learning", is.learning, spec.kind.learning],
    ["GBP", is.gbp, spec.kind.gbp ?? false],
    ["default destination", is.group, undefined],
    ["l2miss", is.l2miss, false],
  ];
  const wrong = pairs.find(([, actual, wanted]) => actual !== wanted);
  return wrong && `its ${wrong[0]} is ${wrong[1] ?? "none"}, not ${wrong[2] ?? "none"}`;
}

/** Makes the device be and be right. @throws {BackendError} */
export function ensureVxlanDevice(
  context: DeviceContext & { readonly ns?: NetNs },
  spec: VxlanDeviceSpec,
): { link: Link; isNew: boolean } {
  const ensured = ensureDevice(context, spec, VXLAN_DEVICE);
  if (ensured.isNew) refuseRouterAdvertisements(spec.name, context.ns);
  return ensured;
}

/** Router advertisements that reach the tunnel would give the node routes from another node. */
function refuseRouterAdvertisements(device: string, ns: NetNs | undefined): void {
  const name = `net/ipv6/conf/${device}/accept_ra`;
  if (readSysctl(name, ns) !== undefined) writeSysctl(name, 0, ns);
}
