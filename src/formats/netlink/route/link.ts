import type { MacAddress } from "../../netip/index.ts";
import { Attributes, type AttributeWriter, fixedHeader } from "../attribute.ts";
import * as c from "../constants.ts";
import { DecodeError } from "../errors.ts";
import type { Message, Request } from "../message.ts";
import { type Loose, present } from "../present.ts";
import {
  type BridgeKind,
  type BridgeOptions,
  type BridgePort,
  readBridge,
  readBridgePort,
  writeBridge,
  writeBridgePort,
} from "./bridge.ts";
import { afterIfinfomsg, IFINFOMSG_LENGTH } from "./ifinfomsg.ts";
import { type IpipKind, type IpipOptions, readIpip, writeIpip } from "./ipip.ts";
import { type LinkStats, readLinkStats } from "./link-stats.ts";
import { type VethOptions, writeVeth } from "./veth.ts";
import { readVxlan, type VxlanKind, type VxlanOptions, writeVxlan } from "./vxlan.ts";

/** RFC 2863 operational state, in the words of `ip link` (include/uapi/linux/if.h IF_OPER_*). */
export type OperState = "UNKNOWN" | "NOTPRESENT" | "DOWN" | "LOWERLAYERDOWN" | "TESTING" | "DORMANT" | "UP";

const OPER_STATES: readonly OperState[] = [
  "UNKNOWN",
  "NOTPRESENT",
  "DOWN",
  "LOWERLAYERDOWN",
  "TESTING",
  "DORMANT",
  "UP",
];

/** What a virtual device is; `other` names every kind we have no decoder for (tun, macvlan, …). */
export type LinkKind =
  | { readonly kind: "veth" }
  | BridgeKind
  | VxlanKind
  | IpipKind
  /** Has no settings here: they are generic netlink's (../generic/wireguard.ts). */
  | { readonly kind: "wireguard" }
  | { readonly kind: "other"; readonly name: string };

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
  /** Absent: a physical device, or lo. */
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
    | IpipOptions
    | { readonly kind: "wireguard" }
    | { readonly kind: "other"; readonly name: string; readonly data?: Uint8Array | undefined };
  readonly index?: number | undefined;
  readonly mtu?: number | undefined;
  readonly address?: MacAddress | undefined;
  readonly master?: number | undefined;
  /** IFLA_LINK: the lower device of a macvlan and its like (vxlan has a `link` of its own). */
  readonly link?: number | undefined;
  readonly group?: number | undefined;
  readonly isUp?: boolean | undefined;
  /** Creates it in the namespace behind this descriptor. */
  readonly netnsFd?: number | undefined;
  readonly txQueueLength?: number | undefined;
}

/** `ip link set`: the device, by index or else by name, and what shall change; what is left out stays. */
export interface LinkChange {
  readonly index?: number | undefined;
  readonly name?: string | undefined;
  /** Only with `index`, as a name is then free to be the new one. */
  readonly newName?: string | undefined;
  readonly isUp?: boolean | undefined;
  readonly mtu?: number | undefined;
  readonly address?: MacAddress | undefined;
  /** 0 takes it out of its master. */
  readonly master?: number | undefined;
  readonly group?: number | undefined;
  readonly netnsFd?: number | undefined;
  readonly txQueueLength?: number | undefined;
  readonly promiscuous?: boolean | undefined;
  /** IFF_ALLMULTI */
  readonly allMulticast?: boolean | undefined;
  readonly alias?: string | undefined;
  /** net.ipv4.conf.DEV.arp_notify: the kernel announces the device's addresses when it comes up. */
  readonly arpNotify?: boolean | undefined;
  /** Settings of a device that is a bridge. */
  readonly bridge?: Loose<Omit<BridgeKind, "kind">> | undefined;
  /** Settings of a device that is a bridge's port. */
  readonly bridgePort?: Loose<BridgePort> | undefined;
}

export type LinkSelector = { readonly index: number } | { readonly name: string };

/** `ip link add`; EEXIST when the name is taken. */
export function newLink(spec: LinkSpec): Request {
  const flags = spec.isUp ? c.IFF_UP : 0;
  const attributes = afterIfinfomsg({ index: spec.index, flags, change: flags });
  attributes.text(c.IFLA_IFNAME, spec.name);
  writeCommon(attributes, spec);
  attributes.u32(c.IFLA_LINK, spec.link).nested(c.IFLA_LINKINFO, (info) => writeKind(info, spec.kind));
  return { type: c.RTM_NEWLINK, flags: c.NLM_F_CREATE | c.NLM_F_EXCL, payload: attributes.finish() };
}

/** `ip link set`. RTM_NEWLINK without NLM_F_CREATE, since RTM_SETLINK does not look at IFLA_LINKINFO. */
export function setLink(change: LinkChange): Request {
  const { index, isUp, promiscuous, bridge, bridgePort } = change;
  if (change.newName !== undefined && index === undefined)
    throw new TypeError(`A link is renamed by its index; ${change.name} -> ${change.newName} has none`);
  let [flags, mask] = [0, 0];
  for (const [isOn, flag] of [
    [isUp, c.IFF_UP],
    [promiscuous, c.IFF_PROMISC],
    [change.allMulticast, c.IFF_ALLMULTI],
  ] as const) {
    if (isOn) flags |= flag;
    if (isOn !== undefined) mask |= flag;
  }
  const attributes = afterIfinfomsg({ index, flags, change: mask });
  attributes.text(c.IFLA_IFNAME, change.newName ?? (index === undefined ? change.name : undefined));
  writeCommon(attributes, change);
  attributes.text(c.IFLA_IFALIAS, change.alias);
  if (change.arpNotify !== undefined)
    attributes.nested(c.IFLA_AF_SPEC, (families) =>
      families.nested(c.AF_INET, (inet) =>
        inet.nested(c.IFLA_INET_CONF, (conf) => conf.u32(c.IPV4_DEVCONF_ARP_NOTIFY, Number(change.arpNotify))),
      ),
    );
  if (bridge !== undefined || bridgePort !== undefined)
    attributes.nested(c.IFLA_LINKINFO, (info) => {
      if (bridge) info.text(c.IFLA_INFO_KIND, "bridge").nested(c.IFLA_INFO_DATA, (data) => writeBridge(data, bridge));
      if (bridgePort)
        info
          .text(c.IFLA_INFO_SLAVE_KIND, "bridge")
          .nested(c.IFLA_INFO_SLAVE_DATA, (data) => writeBridgePort(data, bridgePort));
    });
  return { type: c.RTM_NEWLINK, flags: 0, payload: attributes.finish() };
}

/** `ip link del DEV`, or every device of a group at once (`ip link del group N`), which costs one RCU grace period in all. */
export function deleteLink(which: LinkSelector | { readonly group: number }): Request {
  return { type: c.RTM_DELLINK, flags: 0, payload: selectLink(which).finish() };
}

export function getLink(which: LinkSelector): Request {
  const payload = selectLink(which).u32(c.IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS).finish();
  return { type: c.RTM_GETLINK, flags: 0, payload };
}

/** Spares the counters of a network card's virtual functions; the device's own come anyway. */
const RTEXT_FILTER_SKIP_STATS = 8;

export function dumpLinks(): Request {
  const payload = afterIfinfomsg({}).u32(c.IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS).finish();
  return { type: c.RTM_GETLINK, flags: c.NLM_F_DUMP, payload };
}

function selectLink(which: LinkSelector | { readonly group: number }): AttributeWriter {
  const attributes = afterIfinfomsg({ index: "index" in which ? which.index : 0 });
  if ("name" in which) attributes.text(c.IFLA_IFNAME, which.name);
  if ("group" in which) attributes.u32(c.IFLA_GROUP, which.group);
  return attributes;
}

function writeCommon(attributes: AttributeWriter, link: Omit<LinkChange, "name" | "index">): void {
  attributes
    .mac(c.IFLA_ADDRESS, link.address)
    .u32(c.IFLA_MTU, link.mtu)
    .u32(c.IFLA_TXQLEN, link.txQueueLength)
    .u32(c.IFLA_MASTER, link.master)
    .u32(c.IFLA_GROUP, link.group)
    .u32(c.IFLA_NET_NS_FD, link.netnsFd);
}

function writeKind(info: AttributeWriter, kind: LinkSpec["kind"]): void {
  info.text(c.IFLA_INFO_KIND, kind.kind === "other" ? kind.name : kind.kind);
  if (kind.kind === "other") info.bytes(c.IFLA_INFO_DATA, kind.data);
  else if (kind.kind !== "wireguard")
    info.nested(c.IFLA_INFO_DATA, (data) => {
      if (kind.kind === "veth") writeVeth(data, kind);
      else if (kind.kind === "bridge") writeBridge(data, kind);
      else if (kind.kind === "ipip") writeIpip(data, kind);
      else writeVxlan(data, kind);
    });
}

/**
 * Counters only when asked for: two readings of a link that nobody touched shall be equal.
 * @throws {DecodeError}
 */
export function decodeLink(message: Message, options: { readonly stats?: boolean } = {}): Link {
  const view = fixedHeader(message.payload, IFINFOMSG_LENGTH, "ifinfomsg");
  const attributes = new Attributes(message.payload, "ifinfomsg", IFINFOMSG_LENGTH);
  const name = attributes.text(c.IFLA_IFNAME);
  if (name === undefined) throw new DecodeError("ifinfomsg", IFINFOMSG_LENGTH, "a link without IFLA_IFNAME");
  const flags = view.getUint32(8, true);
  const info = attributes.nested(c.IFLA_LINKINFO, "IFLA_LINKINFO");
  return {
    index: view.getInt32(4, true),
    name,
    isUp: (flags & c.IFF_UP) !== 0,
    flags,
    operState: OPER_STATES[attributes.u8(c.IFLA_OPERSTATE) ?? 0] ?? "UNKNOWN",
    mtu: attributes.u32(c.IFLA_MTU) ?? 0,
    group: attributes.u32(c.IFLA_GROUP) ?? 0,
    txQueueLength: attributes.u32(c.IFLA_TXQLEN) ?? 0,
    promiscuity: attributes.u32(c.IFLA_PROMISCUITY) ?? 0,
    ...present({
      address: attributes.mac(c.IFLA_ADDRESS),
      master: attributes.u32(c.IFLA_MASTER),
      link: attributes.u32(c.IFLA_LINK),
      linkNetnsId: attributes.u32(c.IFLA_LINK_NETNSID),
      alias: attributes.text(c.IFLA_IFALIAS),
      kind: info && readKind(info),
      bridgePort: info && readPort(info),
      stats: options.stats ? readLinkStats(attributes.bytes(c.IFLA_STATS64)) : undefined,
    }),
  };
}

/** Which link a notification is about, for whoever may not want the rest. @throws {DecodeError} */
export function decodeLinkHead(message: Message): Pick<Link, "index" | "name"> {
  const view = fixedHeader(message.payload, IFINFOMSG_LENGTH, "ifinfomsg");
  const name = new Attributes(message.payload, "ifinfomsg", IFINFOMSG_LENGTH).text(c.IFLA_IFNAME) ?? "";
  return { index: view.getInt32(4, true), name };
}

function readKind(info: Attributes): LinkKind | undefined {
  const kind = info.text(c.IFLA_INFO_KIND);
  if (kind === undefined) return undefined;
  if (kind === "veth" || kind === "wireguard") return { kind };
  const data = info.nested(c.IFLA_INFO_DATA, `IFLA_INFO_DATA of ${kind}`);
  if (kind === "bridge" && data) return readBridge(data);
  if (kind === "vxlan" && data) return readVxlan(data);
  if (kind === "ipip" && data) return readIpip(data);
  return { kind: "other", name: kind };
}

function readPort(info: Attributes): BridgePort | undefined {
  if (info.text(c.IFLA_INFO_SLAVE_KIND) !== "bridge") return undefined;
  const data = info.nested(c.IFLA_INFO_SLAVE_DATA, "IFLA_INFO_SLAVE_DATA of bridge");
  return data && readBridgePort(data);
}
