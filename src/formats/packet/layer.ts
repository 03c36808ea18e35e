import type { Arp } from "./arp.ts";
import type { ChecksumState } from "./checksum.ts";
import type { Ethernet } from "./ethernet.ts";
import type { Icmp } from "./icmp.ts";
import type { Icmpv6 } from "./icmpv6.ts";
import type { Ipv4 } from "./ipv4.ts";
import type { Ipv6 } from "./ipv6.ts";
import type { Tcp } from "./tcp.ts";
import type { Udp } from "./udp.ts";
import type { Vxlan } from "./vxlan.ts";

/** A header as found in a frame: its fields, and whether its checksum holds. What follows it is the next layer. */
type Header<Name extends string, T> = { readonly layer: Name } & Readonly<Omit<T, "payload">>;
type Checked = { readonly checksumState: ChecksumState };

export type EthernetLayer = Header<"ethernet", Ethernet>;
/** IEEE 802.1Q tag. */
export type VlanLayer = {
  readonly layer: "vlan";
  readonly id: number;
  readonly priority: number;
  readonly etherType: number;
};
export type ArpLayer = Header<"arp", Arp>;
export type Ipv4Layer = Header<"ipv4", Ipv4> & Checked & { readonly payloadLength: number };
export type Ipv6Layer = Header<"ipv6", Ipv6> & { readonly payloadLength: number };
/** `quoted`: the start of the packet an ICMP error is about. */
export type IcmpLayer = Header<"icmp", Icmp> &
  Checked & { readonly payloadLength: number; readonly quoted?: readonly Layer[] };
export type Icmpv6Layer = Header<"icmpv6", Icmpv6> &
  Checked & { readonly payloadLength: number; readonly quoted?: readonly Layer[] };
export type UdpLayer = Header<"udp", Udp> & Checked & { readonly payloadLength: number };
export type TcpLayer = Header<"tcp", Tcp> & Checked & { readonly payloadLength: number };
export type VxlanLayer = Header<"vxlan", Vxlan>;
/** What no decoder knows more about: application data, a later fragment, an unknown protocol. */
export type PayloadLayer = { readonly layer: "payload"; readonly bytes: Uint8Array };
/** Where dissecting had to stop. */
export type MalformedLayer = { readonly layer: "malformed"; readonly reason: string; readonly bytes: Uint8Array };

export type Layer =
  | EthernetLayer
  | VlanLayer
  | ArpLayer
  | Ipv4Layer
  | Ipv6Layer
  | IcmpLayer
  | Icmpv6Layer
  | UdpLayer
  | TcpLayer
  | VxlanLayer
  | PayloadLayer
  | MalformedLayer;

/** The first layer of a kind, or undefined. */
export function findLayer<K extends Layer["layer"]>(
  layers: readonly Layer[],
  kind: K,
): Extract<Layer, { layer: K }> | undefined {
  return layers.find((layer): layer is Extract<Layer, { layer: K }> => layer.layer === kind);
}
