import { familyOf, type IpAddress, type IpFamily, type MacAddress } from "../../netip/index.ts";
import { Attributes } from "../attribute.ts";
import * as c from "../constants.ts";
import { DecodeError } from "../errors.ts";
import type { Message, Request } from "../message.ts";
import { present } from "../present.ts";
import { afOf, familyOfAf, ofFamily } from "./family.ts";
import { afterNdmsg, decodeNdmsg, NDA_DST, NDA_IFINDEX, NDA_LLADDR, NDA_PROTOCOL, NDMSG_LENGTH } from "./ndmsg.ts";

/** A neighbour (ARP or ND) entry as RTM_NEWNEIGH reports it. */
export interface Neighbour {
  readonly index: number;
  readonly family: IpFamily;
  readonly address: IpAddress;
  readonly lladdr?: MacAddress;
  /** NUD_*. */
  readonly state: number;
  /** NTF_*. */
  readonly flags: number;
  readonly protocol?: number;
}

/** `ip neigh replace`. `state` defaults to NUD_PERMANENT. */
export interface NeighbourSpec {
  readonly index: number;
  readonly address: IpAddress;
  readonly lladdr?: MacAddress | undefined;
  readonly state?: number | undefined;
  readonly flags?: number | undefined;
  readonly protocol?: number | undefined;
}

/** EEXIST when there is an entry for the address. */
export function newNeighbour(spec: NeighbourSpec): Request {
  return { type: c.RTM_NEWNEIGH, flags: c.NLM_F_CREATE | c.NLM_F_EXCL, payload: encodeNeighbour(spec) };
}

export function replaceNeighbour(spec: NeighbourSpec): Request {
  return { type: c.RTM_NEWNEIGH, flags: c.NLM_F_CREATE | c.NLM_F_REPLACE, payload: encodeNeighbour(spec) };
}

/** ENOENT when there is none. */
export function deleteNeighbour({ index, address }: Pick<NeighbourSpec, "index" | "address">): Request {
  return { type: c.RTM_DELNEIGH, flags: 0, payload: encodeNeighbour({ index, address, state: 0 }) };
}

/** All neighbours of both families, or those of one device. */
export function dumpNeighbours(index?: number): Request {
  const payload = afterNdmsg({ af: c.AF_UNSPEC, index: 0, state: 0, flags: 0 }).u32(NDA_IFINDEX, index).finish();
  return { type: c.RTM_GETNEIGH, flags: c.NLM_F_DUMP, payload };
}

function encodeNeighbour(spec: NeighbourSpec): Uint8Array {
  const { index, address, state = c.NUD_PERMANENT, flags = 0 } = spec;
  return afterNdmsg({ af: afOf(familyOf(address)), index, state, flags })
    .ip(NDA_DST, address)
    .mac(NDA_LLADDR, spec.lladdr)
    .u8(NDA_PROTOCOL, spec.protocol)
    .finish();
}

/** @throws {DecodeError} also for an FDB entry (AF_BRIDGE): see decodeFdb() */
export function decodeNeighbour(message: Message): Neighbour {
  const { af, index, state, flags } = decodeNdmsg(message.payload);
  const attributes = new Attributes(message.payload, "ndmsg", NDMSG_LENGTH);
  const family = familyOfAf(af, "ndmsg");
  const address = ofFamily(attributes.ip(NDA_DST), family, "NDA_DST");
  if (address === undefined) throw new DecodeError("ndmsg", NDMSG_LENGTH, "a neighbour without NDA_DST");
  return {
    index,
    family,
    address,
    state,
    flags,
    ...present({ lladdr: attributes.mac(NDA_LLADDR), protocol: attributes.u8(NDA_PROTOCOL) }),
  };
}
