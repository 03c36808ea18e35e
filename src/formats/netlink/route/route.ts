// struct rtmsg { u8 rtm_family, rtm_dst_len, rtm_src_len, rtm_tos, rtm_table, rtm_protocol, rtm_scope, rtm_type;
//                u32 rtm_flags; }
import { type IpAddress, type IpFamily, ipToBytes, isIpv4, type Prefix, prefixBits } from "../../netip/index.ts";
import { Attributes, AttributeWriter, fixedHeader } from "../attribute.ts";
import * as c from "../constants.ts";
import { DecodeError } from "../errors.ts";
import type { Message, Request } from "../message.ts";
import { present } from "../present.ts";
import { afOf, familyOfAf, ofFamily } from "./family.ts";
import { RTA_GATEWAY, RTA_VIA, readGateway } from "./gateway.ts";
import { type RouteHop, readMultipath } from "./multipath.ts";

const RTMSG_LENGTH = 12;
const RTA_DST = 1;
const RTA_SRC = 2;
const RTA_OIF = 4;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTA_NH_ID = 30;
const RTAX_MTU = 2;
const RTM_F_LOOKUP_TABLE = 0x1000;

/** A route as RTM_NEWROUTE reports it. */
export interface Route {
  readonly family: IpFamily;
  /** Absent: the default route. */
  readonly dst?: Prefix;
  /** May be of the other family (`via inet6`). */
  readonly gateway?: IpAddress;
  readonly oif?: number;
  readonly table: number;
  /** RTPROT_*. */
  readonly protocol: number;
  /** RT_SCOPE_*. */
  readonly scope: number;
  /** RTN_*. */
  readonly type: number;
  readonly tos: number;
  /** The `metric`. */
  readonly priority?: number;
  readonly prefSrc?: IpAddress;
  readonly onlink: boolean;
  readonly nexthopId?: number;
  readonly mtu?: number;
  readonly multipath?: readonly RouteHop[];
  /** All of rtm_flags (RTNH_F_*, RTM_F_*). */
  readonly flags: number;
}

/** `ip route add`. What is left out is what `ip` would choose: table main, protocol boot, type unicast, scope by gateway. */
export interface RouteSpec {
  readonly family: IpFamily;
  readonly dst?: Prefix | undefined;
  readonly gateway?: IpAddress | undefined;
  readonly oif?: number | undefined;
  readonly table?: number | undefined;
  readonly protocol?: number | undefined;
  readonly scope?: number | undefined;
  readonly type?: number | undefined;
  readonly tos?: number | undefined;
  readonly priority?: number | undefined;
  readonly prefSrc?: IpAddress | undefined;
  readonly onlink?: boolean | undefined;
  /** Instead of gateway, oif and onlink. */
  readonly nexthopId?: number | undefined;
  readonly mtu?: number | undefined;
}

/** Which routes a dump shall hold; the kernel itself filters. */
export interface RouteFilter {
  readonly family?: IpFamily | undefined;
  readonly table?: number | undefined;
  readonly oif?: number | undefined;
  readonly protocol?: number | undefined;
  readonly type?: number | undefined;
}

/** EEXIST when there is a route with this destination, tos, metric and table. */
export function newRoute(spec: RouteSpec): Request {
  return { type: c.RTM_NEWROUTE, flags: c.NLM_F_CREATE | c.NLM_F_EXCL, payload: encodeNewRoute(spec) };
}

export function replaceRoute(spec: RouteSpec): Request {
  return { type: c.RTM_NEWROUTE, flags: c.NLM_F_CREATE | c.NLM_F_REPLACE, payload: encodeNewRoute(spec) };
}

/** Deletes the first route that matches everything the spec says. ESRCH when there is none. */
export function deleteRoute(spec: RouteSpec): Request {
  // What is left out is a wildcard: for the scope that is NOWHERE in IPv4, for the others 0.
  const scope = spec.scope ?? (spec.family === 4 ? c.RT_SCOPE_NOWHERE : c.RT_SCOPE_UNIVERSE);
  const payload = encodeRoute(spec, { scope, type: spec.type ?? c.RTN_UNSPEC, protocol: spec.protocol ?? 0 });
  return { type: c.RTM_DELROUTE, flags: 0, payload };
}

export function dumpRoutes(filter: RouteFilter = {}): Request {
  const { family, table, oif, protocol = 0, type = 0 } = filter;
  const af = family === undefined ? c.AF_UNSPEC : afOf(family);
  const payload = afterRtmsg({ af, protocol, type }).u32(RTA_TABLE, table).u32(RTA_OIF, oif).finish();
  return { type: c.RTM_GETROUTE, flags: c.NLM_F_DUMP, payload };
}

/** `ip route get ADDRESS`: which route a packet of this host to the address takes. */
export function getRoute(
  destination: IpAddress,
  options: { readonly from?: IpAddress | undefined; readonly oif?: number | undefined } = {},
): Request {
  const family = isIpv4(destination) ? 4 : 6;
  const bits = prefixBits({ address: destination });
  const header = { af: afOf(family), dstLength: bits, srcLength: options.from ? bits : 0, flags: RTM_F_LOOKUP_TABLE };
  const payload = afterRtmsg(header)
    .ip(RTA_DST, destination)
    .ip(RTA_SRC, options.from)
    .u32(RTA_OIF, options.oif)
    .finish();
  return { type: c.RTM_GETROUTE, flags: 0, payload };
}

function encodeNewRoute(spec: RouteSpec): Uint8Array {
  const { type = c.RTN_UNICAST, protocol = c.RTPROT_BOOT } = spec;
  return encodeRoute(spec, { type, protocol, scope: spec.scope ?? defaultScope(spec, type) });
}

/** As `ip` does it: what is reached through nobody is on the link, local addresses are on the host. */
function defaultScope({ family, gateway, nexthopId }: RouteSpec, type: number): number {
  if (family === 6) return c.RT_SCOPE_UNIVERSE;
  if (type === c.RTN_LOCAL) return c.RT_SCOPE_HOST;
  if (type === c.RTN_BROADCAST || type === c.RTN_MULTICAST || type === c.RTN_ANYCAST) return c.RT_SCOPE_LINK;
  if (type === c.RTN_UNICAST && gateway === undefined && nexthopId === undefined) return c.RT_SCOPE_LINK;
  return c.RT_SCOPE_UNIVERSE;
}

function afterRtmsg(rtm: {
  readonly af: number;
  readonly dstLength?: number;
  readonly srcLength?: number;
  readonly tos?: number;
  readonly table?: number;
  readonly protocol?: number;
  readonly scope?: number;
  readonly type?: number;
  readonly flags?: number;
}): AttributeWriter {
  const { af, dstLength = 0, srcLength = 0, tos = 0, table = 0, protocol = 0, scope = 0, type = 0, flags = 0 } = rtm;
  return new AttributeWriter(RTMSG_LENGTH, (view, at) => {
    view.setUint8(at, af);
    view.setUint8(at + 1, dstLength);
    view.setUint8(at + 2, srcLength);
    view.setUint8(at + 3, tos);
    view.setUint8(at + 4, table);
    view.setUint8(at + 5, protocol);
    view.setUint8(at + 6, scope);
    view.setUint8(at + 7, type);
    view.setUint32(at + 8, flags, true);
  });
}

function encodeRoute(spec: RouteSpec, what: { type: number; protocol: number; scope: number }): Uint8Array {
  const { dst, gateway, table = c.RT_TABLE_MAIN, mtu } = spec;
  const { family, tos = 0 } = spec;
  const { protocol, scope, type } = what;
  // rtm_table is one byte; larger tables go into RTA_TABLE alone.
  const shortTable = table < 256 ? table : 0;
  const flags = spec.onlink ? c.RTNH_F_ONLINK : 0;
  const header = {
    af: afOf(family),
    dstLength: dst?.length ?? 0,
    tos,
    table: shortTable,
    protocol,
    scope,
    type,
    flags,
  };
  const attributes = afterRtmsg(header).ip(RTA_DST, dst?.address);
  if (gateway !== undefined && isIpv4(gateway) !== (spec.family === 4))
    attributes.bytes(RTA_VIA, Uint8Array.of(afOf(isIpv4(gateway) ? 4 : 6), 0, ...ipToBytes(gateway)));
  else attributes.ip(RTA_GATEWAY, gateway);
  attributes
    .u32(RTA_OIF, spec.oif)
    .ip(RTA_PREFSRC, spec.prefSrc)
    .u32(RTA_PRIORITY, spec.priority)
    .u32(RTA_NH_ID, spec.nexthopId)
    .u32(RTA_TABLE, table < 256 ? undefined : table);
  if (mtu !== undefined) attributes.nested(RTA_METRICS, (metrics) => metrics.u32(RTAX_MTU, mtu));
  return attributes.finish();
}

/** @throws {DecodeError} also for a route of a family that is not IP */
export function decodeRoute(message: Message): Route {
  const view = fixedHeader(message.payload, RTMSG_LENGTH, "rtmsg");
  const attributes = new Attributes(message.payload, "rtmsg", RTMSG_LENGTH);
  const family = familyOfAf(view.getUint8(0), "rtmsg");
  const flags = view.getUint32(8, true);
  return {
    family,
    table: attributes.u32(RTA_TABLE) ?? view.getUint8(4),
    protocol: view.getUint8(5),
    scope: view.getUint8(6),
    type: view.getUint8(7),
    tos: view.getUint8(3),
    onlink: (flags & c.RTNH_F_ONLINK) !== 0,
    flags,
    ...present({
      dst: readDestination(attributes, view.getUint8(1), family),
      gateway: readGateway(attributes, "rtmsg"),
      oif: attributes.u32(RTA_OIF),
      priority: attributes.u32(RTA_PRIORITY),
      prefSrc: ofFamily(attributes.ip(RTA_PREFSRC), family, "RTA_PREFSRC"),
      nexthopId: attributes.u32(RTA_NH_ID),
      mtu: attributes.nested(RTA_METRICS, "RTA_METRICS")?.u32(RTAX_MTU),
      multipath: readMultipath(attributes.bytes(RTA_MULTIPATH)),
    }),
  };
}

function readDestination(attributes: Attributes, length: number, family: IpFamily): Prefix | undefined {
  if (length > (family === 4 ? 32 : 128)) throw new DecodeError("rtmsg", 1, `destination length ${length}`);
  const address = ofFamily(attributes.ip(RTA_DST), family, "RTA_DST");
  if (address === undefined && length > 0)
    throw new DecodeError("rtmsg", 1, `a /${length} destination without RTA_DST`);
  return address === undefined || length === 0 ? undefined : { address, length };
}
