// drivers/net/veth.c: IFLA_INFO_DATA holds VETH_INFO_PEER, which is an ifinfomsg and a link's attributes once more.
import type { MacAddress } from "../../netip/index.ts";
import type { AttributeWriter } from "../attribute.ts";
import { IFLA_ADDRESS, IFLA_GROUP, IFLA_IFNAME, IFLA_MTU, IFLA_NET_NS_FD } from "../constants.ts";
import { IFINFOMSG_LENGTH, writeIfinfomsg } from "./ifinfomsg.ts";

const VETH_INFO_PEER = 1;

/** The other end of a new veth pair, which the same message creates. It comes up down: the kernel answers ENOTCONN to IFF_UP here. */
export interface VethPeer {
  readonly name: string;
  /** A chosen ifindex, which the kernel heeds when the first end's is chosen too; EEXIST or EBUSY when it is taken. */
  readonly index?: number | undefined;
  readonly mtu?: number | undefined;
  readonly address?: MacAddress | undefined;
  /** Creates the peer in the namespace behind this descriptor. */
  readonly netnsFd?: number | undefined;
  readonly group?: number | undefined;
}

export interface VethOptions {
  readonly kind: "veth";
  readonly peer: VethPeer;
}

export function writeVeth(data: AttributeWriter, { peer }: VethOptions): void {
  data.nested(
    VETH_INFO_PEER,
    (link) =>
      link
        .text(IFLA_IFNAME, peer.name)
        .mac(IFLA_ADDRESS, peer.address)
        .u32(IFLA_MTU, peer.mtu)
        .u32(IFLA_GROUP, peer.group)
        .u32(IFLA_NET_NS_FD, peer.netnsFd),
    IFINFOMSG_LENGTH,
    writeIfinfomsg({ index: peer.index }),
  );
}
