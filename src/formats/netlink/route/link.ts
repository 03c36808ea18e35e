import type { MacAddress } from "../../netip/index.ts";
import type { Message, Request } from "../message.ts";
import type { BridgeKind, BridgeOptions, BridgePort } from "./bridge.ts";
import type { VethOptions } from "./veth.ts";
import type { VxlanKind, VxlanOptions } from "./vxlan.ts";

/** RFC 2863 operational state, in the words of `ip link` (include/uapi/linux/if.h IF_OPER_*). */
export type OperState = "UNKNOWN" | "NOTPRESENT" | "DOWN" | "LOWERLAYERDOWN" | "TESTING" | "DORMANT" | "UP";

/** What a virtual device is; `other` names every kind we have no decoder for (tun, macvlan, …). */
export type LinkKind =
  | { readonly kind: "veth" }
  | BridgeKind
  | VxlanKind
  | { readonly kind: "other"; readonly name: string };

/** `struct rtnl_link_stats64`, the counters of `ip -s link`. */
export interface LinkStats {
  readonly rxPackets: bigint;
  readonly txPackets: bigint;
  readonly rxBytes: bigint;
  readonly txBytes: bigint;
  readonly rxErrors: bigint;
  readonly txErrors: bigint;
  readonly rxDropped: bigint;
  readonly txDropped: bigint;
}

/** A network device as RTM_NEWLINK reports it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** IFF_UP: somebody set it up. Whether it carries packets is `operState`. */
  readonly isUp: boolean;
  /** All of ifi_flags. */
  readonly flags: number;
  readonly operState: OperState;
  readonly mtu: number;
  readonly address?: MacAddress;
  readonly master?: number;
  /** IFLA_LINK: a veth's peer, a tunnel's lower device; an index in `linkNetnsId` when that is there. */
  readonly link?: number;
  readonly linkNetnsId?: number;
  readonly group: number;
  readonly txQueueLength: number;
  readonly promiscuity: number;
  readonly alias?: string;
  readonly kind?: LinkKind;
  readonly bridgePort?: BridgePort;
  readonly stats?: LinkStats;
}

/** `ip link add`: what a new device shall be. */
export interface LinkSpec {
  readonly name: string;
  readonly kind:
    | VethOptions
    | BridgeOptions
    | VxlanOptions
    | { readonly kind: "other"; readonly name: string; readonly data?: Uint8Array };
  readonly index?: number;
  readonly mtu?: number;
  readonly address?: MacAddress;
  readonly master?: number;
  /** IFLA_LINK: the lower device of a macvlan and its like (vxlan has `link` of its own). */
  readonly link?: number;
  readonly group?: number;
  readonly isUp?: boolean;
  /** Creates it in the namespace behind this descriptor. */
  readonly netnsFd?: number;
  readonly txQueueLength?: number;
}

/** `ip link set`: the device, and what shall change; what is left out stays. */
export interface LinkChange {
  readonly index?: number;
  /** The device when there is no `index`. */
  readonly name?: string;
  readonly newName?: string;
  readonly isUp?: boolean;
  readonly mtu?: number;
  readonly address?: MacAddress;
  /** 0 takes it out of its master. */
  readonly master?: number;
  readonly group?: number;
  readonly netnsFd?: number;
  readonly txQueueLength?: number;
  readonly promiscuous?: boolean;
  readonly alias?: string;
  readonly bridge?: Omit<BridgeOptions, "kind">;
  readonly bridgePort?: Partial<BridgePort>;
}

export type LinkSelector = { readonly index: number } | { readonly name: string };

export function newLink(spec: LinkSpec): Request {
  throw new Error(`not yet: ${spec}`);
}

export function setLink(change: LinkChange): Request {
  throw new Error(`not yet: ${change}`);
}

/** `ip link del DEV`, or every device of a group at once (`ip link del group N`), which costs one RCU grace period in all. */
export function deleteLink(which: LinkSelector | { readonly group: number }): Request {
  throw new Error(`not yet: ${which}`);
}

export function getLink(which: LinkSelector): Request {
  throw new Error(`not yet: ${which}`);
}

export function dumpLinks(): Request {
  throw new Error("not yet");
}

export function decodeLink(message: Message): Link {
  throw new Error(`not yet: ${message}`);
}
