import type { MacAddress } from "../../netip/index.ts";

/** The other end of a new veth pair, which the same message creates (drivers/net/veth.c VETH_INFO_PEER). */
export interface VethPeer {
  readonly name: string;
  /** A chosen ifindex; the kernel answers EEXIST or EBUSY when it is taken. */
  readonly index?: number;
  readonly mtu?: number;
  readonly address?: MacAddress;
  /** Creates the peer in the namespace behind this descriptor. */
  readonly netnsFd?: number;
  readonly group?: number;
}

export interface VethOptions {
  readonly kind: "veth";
  readonly peer: VethPeer;
}
