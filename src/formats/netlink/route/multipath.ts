// RTA_MULTIPATH: a list of struct rtnexthop { u16 rtnh_len; u8 rtnh_flags; u8 rtnh_hops; int rtnh_ifindex; }, each
// followed by attributes of its own; rtnh_len counts them.
import type { IpAddress } from "../../netip/index.ts";
import { Attributes, align4 } from "../attribute.ts";
import { RTNH_F_ONLINK } from "../constants.ts";
import { DecodeError } from "../errors.ts";
import { present } from "../present.ts";
import { readGateway } from "./gateway.ts";

const RTNEXTHOP_LENGTH = 8;

/** One next hop of a multipath route. */
export interface RouteHop {
  readonly gateway?: IpAddress;
  readonly oif: number;
  /** As `ip` says it: rtnh_hops + 1. */
  readonly weight: number;
  readonly onlink: boolean;
}

export function readMultipath(bytes: Uint8Array | undefined): RouteHop[] | undefined {
  if (bytes === undefined) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const hops: RouteHop[] = [];
  for (let at = 0; bytes.length - at >= RTNEXTHOP_LENGTH; ) {
    const length = view.getUint16(at, true);
    if (length < RTNEXTHOP_LENGTH || length > bytes.length - at)
      throw new DecodeError("rtnexthop", at, `a hop of ${length} bytes where ${bytes.length - at} are left`);
    const attributes = new Attributes(bytes.subarray(at, at + length), "rtnexthop", RTNEXTHOP_LENGTH, at);
    hops.push({
      oif: view.getInt32(at + 4, true),
      weight: view.getUint8(at + 3) + 1,
      onlink: (view.getUint8(at + 2) & RTNH_F_ONLINK) !== 0,
      ...present({ gateway: readGateway(attributes, "rtnexthop") }),
    });
    at += align4(length);
  }
  return hops;
}
