// Connection tracking entries (include/uapi/linux/netfilter/nfnetlink_conntrack.h).
import type { IpAddress, IpFamily } from "../../netip/index.ts";
import { Attributes, AttributeWriter, fixedHeader } from "../attribute.ts";
import type { Message, Request } from "../message.ts";
import { NFGENMSG_BYTES, nfgenmsg } from "./nfnetlink.ts";

/** NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_… */
const IPCTNL_MSG_CT_NEW = 0x0100;
const IPCTNL_MSG_CT_GET = 0x0101;
const IPCTNL_MSG_CT_DELETE = 0x0102;
const NLM_F_DUMP = 0x300;
const NLA_F_NESTED = 0x8000;

const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ID = 12;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_SRC = { 4: 1, 6: 3 } as const;
const CTA_IP_DST = { 4: 2, 6: 4 } as const;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;

const AF = { 4: 2, 6: 10 } as const;

/** Addresses and ports of one direction, as its first packet had them. */
export interface ConntrackTuple {
  readonly protocol: number;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** Only of protocols with ports. */
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

export interface ConntrackEntry {
  readonly family: IpFamily;
  readonly original: ConntrackTuple;
  /** What an answer looks like: with DNAT its source is not the original's destination. */
  readonly reply: ConntrackTuple;
  /** What the kernel knows the entry by: its original tuple and its id, as they came. */
  readonly identity: { readonly original: Uint8Array; readonly id: Uint8Array | undefined };
}

export function dumpConntrack(family: IpFamily): Request {
  return { type: IPCTNL_MSG_CT_GET, flags: NLM_F_DUMP, payload: nfgenmsg(AF[family]) };
}

/** Deletes this entry and no later one with the same addresses. */
export function deleteConntrack({ family, identity }: ConntrackEntry): Request {
  const payload = new AttributeWriter(nfgenmsg(AF[family]))
    .bytes(CTA_TUPLE_ORIG | NLA_F_NESTED, identity.original)
    .bytes(CTA_ID, identity.id)
    .finish();
  return { type: IPCTNL_MSG_CT_DELETE, flags: 0, payload };
}

/** undefined for what is no IPv4 or IPv6 entry. @throws {DecodeError} */
export function decodeConntrack({ type, payload }: Message): ConntrackEntry | undefined {
  if (type !== IPCTNL_MSG_CT_NEW) return undefined;
  const number = fixedHeader(payload, NFGENMSG_BYTES, "nfgenmsg").getUint8(0);
  const family = number === AF[4] ? 4 : number === AF[6] ? 6 : undefined;
  if (family === undefined) return undefined;
  const attributes = new Attributes(payload, "conntrack", NFGENMSG_BYTES);
  const original = decodeTuple(attributes.nested(CTA_TUPLE_ORIG, "CTA_TUPLE_ORIG"), family);
  const reply = decodeTuple(attributes.nested(CTA_TUPLE_REPLY, "CTA_TUPLE_REPLY"), family);
  const tuple = attributes.bytes(CTA_TUPLE_ORIG);
  if (!original || !reply || !tuple) return undefined;
  return { family, original, reply, identity: { original: tuple.slice(), id: attributes.bytes(CTA_ID)?.slice() } };
}

function decodeTuple(tuple: Attributes | undefined, family: IpFamily): ConntrackTuple | undefined {
  const ip = tuple?.nested(CTA_TUPLE_IP, "CTA_TUPLE_IP");
  const proto = tuple?.nested(CTA_TUPLE_PROTO, "CTA_TUPLE_PROTO");
  const [source, destination] = [ip?.ip(CTA_IP_SRC[family]), ip?.ip(CTA_IP_DST[family])];
  const protocol = proto?.u8(CTA_PROTO_NUM);
  if (source === undefined || destination === undefined || protocol === undefined) return undefined;
  const [sourcePort, destinationPort] = [proto?.be16(CTA_PROTO_SRC_PORT), proto?.be16(CTA_PROTO_DST_PORT)];
  return {
    protocol,
    source,
    destination,
    ...(sourcePort === undefined ? {} : { sourcePort }),
    ...(destinationPort === undefined ? {} : { destinationPort }),
  };
}
