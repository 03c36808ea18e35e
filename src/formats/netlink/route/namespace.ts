// struct rtgenmsg { unsigned char rtgen_family; }, padded to four bytes, and NETNSA_* (include/uapi/linux/net_namespace.h).
import { Attributes, AttributeWriter } from "../attribute.ts";
import * as c from "../constants.ts";
import type { Message, Request } from "../message.ts";

const RTGENMSG_LENGTH = 4;

/** The id by which the asked namespace knows the one behind this descriptor: what its IFLA_LINK_NETNSID says. */
export function getNamespaceId(netnsFd: number): Request {
  const payload = new AttributeWriter(RTGENMSG_LENGTH).u32(c.NETNSA_FD, netnsFd).finish();
  return { type: c.RTM_GETNSID, flags: 0, payload };
}

/** Undefined when there is none: no device of the one namespace has its other end in the other. @throws {DecodeError} */
export function decodeNamespaceId(message: Message): number | undefined {
  const id = new Attributes(message.payload, "rtgenmsg", RTGENMSG_LENGTH).u32(c.NETNSA_NSID);
  return id === NETNSA_NSID_NOT_ASSIGNED ? undefined : id;
}

const NETNSA_NSID_NOT_ASSIGNED = 0xffff_ffff; // -1
