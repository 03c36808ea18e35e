import type { IpAddress, IpFamily, Prefix } from "../../netip/index.ts";
import type { Message, Request } from "../message.ts";

/** One next hop of a multipath route. */
export interface RouteHop {
  readonly gateway?: IpAddress;
  readonly oif: number;
  readonly weight: number;
  readonly onlink: boolean;
}

/** A route as RTM_NEWROUTE reports it. */
export interface Route {
  readonly family: IpFamily;
  /** Absent: the default route. */
  readonly dst?: Prefix;
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
  readonly dst?: Prefix;
  readonly gateway?: IpAddress;
  readonly oif?: number;
  readonly table?: number;
  readonly protocol?: number;
  readonly scope?: number;
  readonly type?: number;
  readonly tos?: number;
  readonly priority?: number;
  readonly prefSrc?: IpAddress;
  readonly onlink?: boolean;
  readonly nexthopId?: number;
  readonly mtu?: number;
}

/** Which routes a dump shall hold; the kernel itself filters. */
export interface RouteFilter {
  readonly family?: IpFamily;
  readonly table?: number;
  readonly oif?: number;
  readonly protocol?: number;
  readonly type?: number;
}

export function newRoute(spec: RouteSpec): Request {
  throw new Error(`not yet: ${spec}`);
}

export function replaceRoute(spec: RouteSpec): Request {
  throw new Error(`not yet: ${spec}`);
}

/** Deletes the first route that matches everything the spec says. */
export function deleteRoute(spec: RouteSpec): Request {
  throw new Error(`not yet: ${spec}`);
}

export function dumpRoutes(filter?: RouteFilter): Request {
  throw new Error(`not yet: ${filter}`);
}

/** `ip route get ADDRESS`: which route a packet of the host to this address takes. */
export function getRoute(
  destination: IpAddress,
  options?: { readonly from?: IpAddress; readonly oif?: number },
): Request {
  throw new Error(`not yet: ${destination} ${options}`);
}

export function decodeRoute(message: Message): Route {
  throw new Error(`not yet: ${message}`);
}
