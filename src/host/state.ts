import type { IpAddress, MacAddress, Prefix } from "../formats/netip/index.ts";
import type { Address, FdbEntry, Link, Neighbour, Nexthop, Route } from "../formats/netlink/index.ts";

/**
 * The protocol number (rtm_protocol, nh_protocol) of every route and nexthop object podpath adds: 112, 0x70. Free in iproute2's rt_protos and in
 * the kernel's list; `ip route show proto 112` lists ours (docs/adr/0003).
 */
export const RTPROT_PODPATH = 112;

/** What one namespace's kernel has, of the kinds that host cares for. */
export interface ActualState {
  readonly links: readonly Link[];
  readonly addresses: readonly Address[];
  /** Table main. */
  readonly routes: readonly Route[];
  readonly neighbours: readonly Neighbour[];
  readonly fdb: readonly FdbEntry[];
  /** Absent where the kernel has no nexthop objects (before 5.3). */
  readonly nexthops?: readonly Nexthop[] | undefined;
}

/** What one namespace's kernel shall have of ours: the whole of it, each time. What is ours and not in here goes. */
export interface WantedState {
  readonly devices: readonly WantedDevice[];
  readonly peers: readonly WantedPeer[];
  /** Routes of our protocol number to somewhere in these ranges are ours whatever their device (the cluster's network). */
  readonly ranges: readonly Prefix[];
  /** Where packets end that no other route takes: this node's own subnet. */
  readonly blackholes?: readonly Prefix[];
}

/** A device of ours: its permanent neighbours and FDB entries, and what the ranges cover, are ours alone. */
export interface WantedDevice {
  readonly index: number;
  readonly name: string;
  /** Others within `ranges` are removed; addresses elsewhere are somebody's business. */
  readonly addresses: readonly Prefix[];
  /** Of the device itself and no single peer: the whole network, behind a tunnel that tells peers apart by itself. */
  readonly routes?: readonly WantedRoute[];
}

/** All that one peer node needs. Its parts are applied in this order, and its failure is its own. */
export interface WantedPeer {
  /** Names the peer in errors and in the log: its subnet. */
  readonly key: string;
  readonly neighbours: readonly WantedNeighbour[];
  readonly fdb: readonly WantedFdb[];
  readonly routes: readonly WantedRoute[];
}

export interface WantedNeighbour {
  readonly index: number;
  readonly address: IpAddress;
  readonly lladdr: MacAddress;
}

export interface WantedFdb {
  readonly index: number;
  readonly lladdr: MacAddress;
  readonly dst: IpAddress;
}

export interface WantedRoute {
  readonly dst: Prefix;
  /** Absent: what it leads to is on the link itself. */
  readonly gateway?: IpAddress | undefined;
  readonly oif: number;
  readonly onlink: boolean;
}

/** A nexthop object for one IPv4 route alone (docs/adr/0008). */
export interface WantedNexthop {
  readonly id: number;
  readonly gateway: IpAddress;
  readonly oif: number;
  readonly onlink: boolean;
}
