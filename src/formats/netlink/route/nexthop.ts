// struct nhmsg { u8 nh_family; u8 nh_scope; u8 nh_protocol; u8 resvd; u32 nh_flags; }
import type { IpAddress, IpFamily } from "../../netip/index.ts";
import { Attributes, AttributeWriter, fixedHeader } from "../attribute.ts";
import * as c from "../constants.ts";
import { DecodeError } from "../errors.ts";
import type { Message, Request } from "../message.ts";
import { present } from "../present.ts";
import { afOf, familyOfAf } from "./family.ts";

const NHMSG_LENGTH = 8;
const NHA_ID = 1;
const NHA_GROUP = 2;
const NHA_BLACKHOLE = 4;
const NHA_OIF = 5;
const NHA_GATEWAY = 6;

/** A nexthop object (include/uapi/linux/nexthop.h), which routes name by `nexthopId`. */
export interface Nexthop {
  readonly id: number;
  /** Absent for a group. */
  readonly family?: IpFamily;
  readonly gateway?: IpAddress;
  readonly oif?: number;
  readonly onlink: boolean;
  readonly protocol: number;
  readonly blackhole: boolean;
  readonly group?: readonly NexthopGroupMember[];
}

export interface NexthopGroupMember {
  readonly id: number;
  readonly weight: number;
}

/** `ip nexthop replace id ID via GATEWAY dev DEV onlink`. */
export interface NexthopSpec {
  readonly id: number;
  readonly family: IpFamily;
  readonly gateway?: IpAddress | undefined;
  readonly oif?: number | undefined;
  readonly onlink?: boolean | undefined;
  readonly protocol?: number | undefined;
}

/** EEXIST when the id is taken. */
export function newNexthop(spec: NexthopSpec): Request {
  return { type: c.RTM_NEWNEXTHOP, flags: c.NLM_F_CREATE | c.NLM_F_EXCL, payload: encodeNexthop(spec) };
}

export function replaceNexthop(spec: NexthopSpec): Request {
  return { type: c.RTM_NEWNEXTHOP, flags: c.NLM_F_CREATE | c.NLM_F_REPLACE, payload: encodeNexthop(spec) };
}

/** Deletes it and every route that names it. ENOENT when there is none. */
export function deleteNexthop({ id }: Pick<NexthopSpec, "id">): Request {
  const payload = new AttributeWriter(NHMSG_LENGTH).u32(NHA_ID, id).finish();
  return { type: c.RTM_DELNEXTHOP, flags: 0, payload };
}

export function dumpNexthops(): Request {
  const payload = new AttributeWriter(NHMSG_LENGTH).finish();
  return { type: c.RTM_GETNEXTHOP, flags: c.NLM_F_DUMP, payload };
}

function encodeNexthop(spec: NexthopSpec): Uint8Array {
  const header = (view: DataView, at: number): void => {
    view.setUint8(at, afOf(spec.family));
    view.setUint8(at + 2, spec.protocol ?? c.RTPROT_BOOT);
    view.setUint32(at + 4, spec.onlink ? c.RTNH_F_ONLINK : 0, true);
  };
  return new AttributeWriter(NHMSG_LENGTH, header)
    .u32(NHA_ID, spec.id)
    .ip(NHA_GATEWAY, spec.gateway)
    .u32(NHA_OIF, spec.oif)
    .finish();
}

/** @throws {DecodeError} */
export function decodeNexthop(message: Message): Nexthop {
  const view = fixedHeader(message.payload, NHMSG_LENGTH, "nhmsg");
  const attributes = new Attributes(message.payload, "nhmsg", NHMSG_LENGTH);
  const id = attributes.u32(NHA_ID);
  if (id === undefined) throw new DecodeError("nhmsg", NHMSG_LENGTH, "a nexthop without NHA_ID");
  const af = view.getUint8(0);
  return {
    id,
    onlink: (view.getUint32(4, true) & c.RTNH_F_ONLINK) !== 0,
    protocol: view.getUint8(2),
    blackhole: attributes.has(NHA_BLACKHOLE),
    ...present({
      family: af === c.AF_UNSPEC ? undefined : familyOfAf(af, "nhmsg"),
      gateway: attributes.ip(NHA_GATEWAY),
      oif: attributes.u32(NHA_OIF),
      group: readGroup(attributes.bytes(NHA_GROUP)),
    }),
  };
}

/** struct nexthop_grp { u32 id; u8 weight; u8 weight_high; u16 resvd; }, a list of them; a weight of 0 means 1. */
function readGroup(bytes: Uint8Array | undefined): NexthopGroupMember[] | undefined {
  if (bytes === undefined) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: Math.floor(bytes.length / 8) }, (_, i) => ({
    id: view.getUint32(8 * i, true),
    weight: (view.getUint8(8 * i + 4) | (view.getUint8(8 * i + 5) << 8)) + 1,
  }));
}
