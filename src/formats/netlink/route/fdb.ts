import type { IpAddress, MacAddress } from "../../netip/index.ts";
import { Attributes } from "../attribute.ts";
import * as c from "../constants.ts";
import { DecodeError } from "../errors.ts";
import type { Message, Request } from "../message.ts";
import { present } from "../present.ts";
import { afterNdmsg, decodeNdmsg, NDA_DST, NDA_IFINDEX, NDA_LLADDR, NDA_MASTER, NDMSG_LENGTH } from "./ndmsg.ts";

const NDA_VLAN = 5;
const NDA_PORT = 6;
const NDA_VNI = 7;

/** A forwarding-database entry of a bridge or a vxlan device: an RTM_NEWNEIGH of family AF_BRIDGE. */
export interface FdbEntry {
  readonly index: number;
  readonly lladdr: MacAddress;
  /** vxlan: the node to send to. */
  readonly dst?: IpAddress;
  /** NUD_*. */
  readonly state: number;
  /** NTF_*: NTF_SELF for the device's own table, NTF_MASTER for its bridge's. */
  readonly flags: number;
  readonly master?: number;
  readonly vlan?: number;
  /** vxlan: a UDP port other than the device's. */
  readonly port?: number;
  /** vxlan: a VNI other than the device's. */
  readonly vni?: number;
}

/** `bridge fdb replace MAC dev DEV dst IP self permanent`: `flags` defaults to NTF_SELF, `state` to NUD_PERMANENT. */
export interface FdbSpec {
  readonly index: number;
  readonly lladdr: MacAddress;
  readonly dst?: IpAddress | undefined;
  readonly state?: number | undefined;
  readonly flags?: number | undefined;
  readonly vlan?: number | undefined;
}

/** EEXIST when there is an entry for the MAC. */
export function newFdb(spec: FdbSpec): Request {
  return { type: c.RTM_NEWNEIGH, flags: c.NLM_F_CREATE | c.NLM_F_EXCL, payload: encodeFdb(spec) };
}

export function replaceFdb(spec: FdbSpec): Request {
  return { type: c.RTM_NEWNEIGH, flags: c.NLM_F_CREATE | c.NLM_F_REPLACE, payload: encodeFdb(spec) };
}

/** Adds one more destination to a MAC of a vxlan device (`bridge fdb append`). */
export function appendFdb(spec: FdbSpec): Request {
  return { type: c.RTM_NEWNEIGH, flags: c.NLM_F_CREATE | c.NLM_F_APPEND, payload: encodeFdb(spec) };
}

/** ENOENT when there is none. */
export function deleteFdb(spec: Pick<FdbSpec, "index" | "lladdr" | "dst" | "flags" | "vlan">): Request {
  // The header's flags stay 0: in a deletion NLM_F_EXCL's bit is NLM_F_BULK, which not every device supports.
  return { type: c.RTM_DELNEIGH, flags: 0, payload: encodeFdb(spec) };
}

/** All entries, or those of one device. */
export function dumpFdb(index?: number): Request {
  const payload = afterNdmsg({ af: c.AF_BRIDGE, index: 0, state: 0, flags: 0 }).u32(NDA_IFINDEX, index).finish();
  return { type: c.RTM_GETNEIGH, flags: c.NLM_F_DUMP, payload };
}

function encodeFdb(spec: FdbSpec): Uint8Array {
  const { index, state = c.NUD_PERMANENT, flags = c.NTF_SELF } = spec;
  return afterNdmsg({ af: c.AF_BRIDGE, index, state, flags })
    .mac(NDA_LLADDR, spec.lladdr)
    .ip(NDA_DST, spec.dst)
    .u16(NDA_VLAN, spec.vlan)
    .finish();
}

/** @throws {DecodeError} also for a neighbour of an IP family */
export function decodeFdb(message: Message): FdbEntry {
  const { af, index, state, flags } = decodeNdmsg(message.payload);
  if (af !== c.AF_BRIDGE) throw new DecodeError("ndmsg", 0, `address family ${af} instead of AF_BRIDGE`);
  const attributes = new Attributes(message.payload, "ndmsg", NDMSG_LENGTH);
  const lladdr = attributes.mac(NDA_LLADDR);
  if (lladdr === undefined) throw new DecodeError("ndmsg", NDMSG_LENGTH, "an FDB entry without NDA_LLADDR");
  return {
    index,
    lladdr,
    state,
    flags,
    ...present({
      dst: attributes.ip(NDA_DST),
      master: attributes.u32(NDA_MASTER),
      vlan: attributes.u16(NDA_VLAN),
      port: attributes.be16(NDA_PORT),
      vni: attributes.u32(NDA_VNI),
    }),
  };
}
