import type { VxlanOptions } from "../../formats/flannel/index.ts";
import { type IpAddress, isIpv6, type MacAddress } from "../../formats/netip/index.ts";
import {
  deleteLink,
  type Link,
  type LinkSpec,
  newLink,
  setLink,
  type VxlanOptions as VxlanKindOptions,
} from "../../formats/netlink/index.ts";
import {
  isAlreadyExists,
  isPermission,
  isUnsupported,
  type NetNs,
  readSysctl,
  writeSysctl,
} from "../../kernel/index.ts";
import type { BackendRtnl, ExternalInterface, Log } from "../backend.ts";
import { BackendError } from "../errors.ts";

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

/** Why the device cannot serve as `spec`, of what the kernel does not let change; undefined: it can. */
export function incompatibility(link: Link, spec: VxlanDeviceSpec): string | undefined {
  const is = link.kind;
  if (is?.kind !== "vxlan")
    return `it is no vxlan device${is ? ` but ${is.kind === "other" ? is.name : is.kind}` : ""}`;
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

/** What of the device is not as in `spec` and can be changed while it carries packets. */
export function unlike(link: Link, spec: VxlanDeviceSpec): string[] {
  return [
    ...(link.mtu === spec.mtu ? [] : [`the MTU of ${spec.name} is ${link.mtu}, not ${spec.mtu}`]),
    ...(link.address === spec.address ? [] : [`the MAC of ${spec.name} is ${link.address}, not ${spec.address}`]),
  ];
}

export interface DeviceContext {
  readonly rtnl: BackendRtnl;
  readonly ns?: NetNs;
  readonly log: Log;
}

/**
 * Makes the device be and be right. A device that serves is kept, with its udpcsum: to make it anew would lose
 * packets. Returns it, and whether it had to be made. @throws {BackendError}
 */
export function ensureVxlanDevice(context: DeviceContext, spec: VxlanDeviceSpec): { link: Link; isNew: boolean } {
  const { rtnl, log } = context;
  let link = rtnl.link(spec.name);
  const why = link && incompatibility(link, spec);
  if (link && why !== undefined) {
    log.warn({ device: spec.name }, `replacing ${spec.name}: ${why}`);
    rtnl.execute(deleteLink({ index: link.index }));
    link = undefined;
  }
  const isNew = link === undefined;
  if (isNew) {
    create(rtnl, spec);
    refuseRouterAdvertisements(spec.name, context.ns);
    link = rtnl.link(spec.name);
  }
  if (!link) throw new BackendError(`Cannot keep ${spec.name}: somebody deleted it as soon as it was made`);
  if (unlike(link, spec).length > 0) {
    log.info({ device: spec.name, mtu: spec.mtu, mac: spec.address }, `setting MTU and MAC of ${spec.name}`);
    rtnl.execute(setLink({ index: link.index, mtu: spec.mtu, address: spec.address }));
    link = { ...link, mtu: spec.mtu, address: spec.address };
  }
  return { link, isNew };
}

function create(rtnl: BackendRtnl, spec: VxlanDeviceSpec): void {
  try {
    rtnl.execute(newLink(spec));
  } catch (error) {
    throw new BackendError(`Cannot create ${spec.name} (${describe(spec)}): ${explain(error, spec)}`, { cause: error });
  }
}

function describe({ kind }: VxlanDeviceSpec): string {
  return `vxlan id ${kind.id}, local ${kind.local}, port ${kind.port}`;
}

function explain(error: unknown, spec: VxlanDeviceSpec): string {
  const said = error instanceof Error ? error.message : String(error);
  if (isPermission(error)) return `not permitted; run as root or with CAP_NET_ADMIN`;
  if (isUnsupported(error))
    return `this kernel has no vxlan devices; load the module (modprobe vxlan), or use a kernel with CONFIG_VXLAN (${said})`;
  if (isAlreadyExists(error))
    return `another vxlan device has this VNI and port; find it with "ip -d link show type vxlan" and delete it, or set another Backend.VNI than ${spec.kind.id}`;
  return said;
}

/** Router advertisements that reach the tunnel would give the node routes from another node. */
function refuseRouterAdvertisements(device: string, ns: NetNs | undefined): void {
  const name = `net/ipv6/conf/${device}/accept_ra`;
  if (readSysctl(name, ns) !== undefined) writeSysctl(name, 0, ns);
}
