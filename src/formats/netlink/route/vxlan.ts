// include/uapi/linux/if_link.h: IFLA_VXLAN_* in IFLA_INFO_DATA (drivers/net/vxlan/vxlan_core.c).
import { type IpAddress, isIpv4 } from "../../netip/index.ts";
import type { Attributes, AttributeWriter } from "../attribute.ts";
import { DecodeError } from "../errors.ts";
import { type Loose, present } from "../present.ts";

const IFLA_VXLAN_ID = 1;
const IFLA_VXLAN_GROUP = 2;
const IFLA_VXLAN_LINK = 3;
const IFLA_VXLAN_LOCAL = 4;
const IFLA_VXLAN_TTL = 5;
const IFLA_VXLAN_TOS = 6;
const IFLA_VXLAN_LEARNING = 7;
const IFLA_VXLAN_AGEING = 8;
const IFLA_VXLAN_PORT_RANGE = 10;
const IFLA_VXLAN_PROXY = 11;
const IFLA_VXLAN_RSC = 12;
const IFLA_VXLAN_L2MISS = 13;
const IFLA_VXLAN_L3MISS = 14;
const IFLA_VXLAN_PORT = 15;
const IFLA_VXLAN_GROUP6 = 16;
const IFLA_VXLAN_LOCAL6 = 17;
const IFLA_VXLAN_UDP_CSUM = 18;
const IFLA_VXLAN_UDP_ZERO_CSUM6_TX = 19;
const IFLA_VXLAN_UDP_ZERO_CSUM6_RX = 20;
const IFLA_VXLAN_GBP = 23;

/** A VXLAN device's settings, in the words of `ip -d link`. */
export interface VxlanKind {
  readonly kind: "vxlan";
  /** The VNI. */
  readonly id: number;
  readonly local?: IpAddress;
  /** The `remote` or `group` address that unknown destinations go to. */
  readonly group?: IpAddress;
  /** The lower device's index. */
  readonly link?: number;
  /** UDP destination port. */
  readonly port: number;
  readonly learning: boolean;
  /** `udpcsum`: cannot be changed later. */
  readonly udpCsum: boolean;
  readonly udpZeroCsum6Tx: boolean;
  readonly udpZeroCsum6Rx: boolean;
  readonly gbp: boolean;
  /** 0 is `ttl auto`. */
  readonly ttl: number;
  readonly tos: number;
  readonly ageingSeconds: number;
  /** `srcport 0 0` is the whole local range. */
  readonly portRange: readonly [low: number, high: number];
  readonly proxy: boolean;
  readonly rsc: boolean;
  readonly l2miss: boolean;
  readonly l3miss: boolean;
}

/** `ip link add type vxlan …`; what is left out is the kernel's default (port 8472, udpcsum, learning). */
export type VxlanOptions = Pick<VxlanKind, "kind" | "id"> & Loose<Omit<VxlanKind, "kind" | "id">>;

export function writeVxlan(data: AttributeWriter, vxlan: VxlanOptions): void {
  const { group, local, portRange } = vxlan;
  data.u32(IFLA_VXLAN_ID, vxlan.id);
  if (group !== undefined) data.ip(isIpv4(group) ? IFLA_VXLAN_GROUP : IFLA_VXLAN_GROUP6, group);
  if (local !== undefined) data.ip(isIpv4(local) ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, local);
  data
    .u32(IFLA_VXLAN_LINK, vxlan.link)
    .u8(IFLA_VXLAN_TTL, vxlan.ttl)
    .u8(IFLA_VXLAN_TOS, vxlan.tos)
    .bool(IFLA_VXLAN_LEARNING, vxlan.learning)
    .u32(IFLA_VXLAN_AGEING, vxlan.ageingSeconds)
    .bytes(IFLA_VXLAN_PORT_RANGE, portRange && Uint8Array.from(portRange.flatMap((port) => [port >> 8, port & 0xff])))
    .bool(IFLA_VXLAN_PROXY, vxlan.proxy)
    .bool(IFLA_VXLAN_RSC, vxlan.rsc)
    .bool(IFLA_VXLAN_L2MISS, vxlan.l2miss)
    .bool(IFLA_VXLAN_L3MISS, vxlan.l3miss)
    .be16(IFLA_VXLAN_PORT, vxlan.port)
    .bool(IFLA_VXLAN_UDP_CSUM, vxlan.udpCsum)
    .bool(IFLA_VXLAN_UDP_ZERO_CSUM6_TX, vxlan.udpZeroCsum6Tx)
    .bool(IFLA_VXLAN_UDP_ZERO_CSUM6_RX, vxlan.udpZeroCsum6Rx)
    .flag(IFLA_VXLAN_GBP, vxlan.gbp);
}

export function readVxlan(data: Attributes): VxlanKind {
  const id = data.u32(IFLA_VXLAN_ID);
  // A device in metadata mode (`external`) has no VNI of its own; the kernel says 0 then.
  if (id === undefined) throw new DecodeError("IFLA_VXLAN", 0, "a vxlan device without IFLA_VXLAN_ID");
  return {
    kind: "vxlan",
    id,
    ...present({
      local: data.ip(IFLA_VXLAN_LOCAL) ?? data.ip(IFLA_VXLAN_LOCAL6),
      group: data.ip(IFLA_VXLAN_GROUP) ?? data.ip(IFLA_VXLAN_GROUP6),
      // The kernel sends 0 for none.
      link: data.u32(IFLA_VXLAN_LINK) || undefined,
    }),
    port: data.be16(IFLA_VXLAN_PORT) ?? 0,
    learning: data.bool(IFLA_VXLAN_LEARNING) ?? false,
    udpCsum: data.bool(IFLA_VXLAN_UDP_CSUM) ?? false,
    udpZeroCsum6Tx: data.bool(IFLA_VXLAN_UDP_ZERO_CSUM6_TX) ?? false,
    udpZeroCsum6Rx: data.bool(IFLA_VXLAN_UDP_ZERO_CSUM6_RX) ?? false,
    gbp: data.has(IFLA_VXLAN_GBP),
    ttl: data.u8(IFLA_VXLAN_TTL) ?? 0,
    tos: data.u8(IFLA_VXLAN_TOS) ?? 0,
    ageingSeconds: data.u32(IFLA_VXLAN_AGEING) ?? 0,
    portRange: readPortRange(data.bytes(IFLA_VXLAN_PORT_RANGE)),
    proxy: data.bool(IFLA_VXLAN_PROXY) ?? false,
    rsc: data.bool(IFLA_VXLAN_RSC) ?? false,
    l2miss: data.bool(IFLA_VXLAN_L2MISS) ?? false,
    l3miss: data.bool(IFLA_VXLAN_L3MISS) ?? false,
  };
}

/** struct ifla_vxlan_port_range { __be16 low; __be16 high; } */
function readPortRange(bytes: Uint8Array | undefined): [number, number] {
  if (bytes?.length !== 4) return [0, 0];
  const view = new DataView(bytes.buffer, bytes.byteOffset, 4);
  return [view.getUint16(0), view.getUint16(2)];
}
