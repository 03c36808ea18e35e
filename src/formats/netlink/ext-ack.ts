// struct nlmsgerr { int error; struct nlmsghdr msg; } then, unless capped, the request's payload, then (NETLINK_EXT_ACK)
// attributes NLMSGERR_ATTR_*. NLMSG_DONE of a failed dump: int error, then the same attributes.
import { Attributes, align4, fixedHeader } from "./attribute.ts";
import { NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_DONE, NLMSG_ERROR } from "./constants.ts";
import { DecodeError } from "./errors.ts";
import type { Message } from "./message.ts";
import { present } from "./present.ts";

const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_OFFS = 2;
const NLMSGERR_ATTR_MISS_TYPE = 5;
const NLMSGERR_ATTR_MISS_NEST = 6;

/** What the kernel says beyond an errno. */
export interface ExtendedAck {
  /** "Nexthop id does not exist". May come without an error, as a warning. */
  readonly message?: string;
  /** Where in the request, counted from its nlmsghdr, the offending attribute begins. */
  readonly offset?: number;
  /** The type of an attribute that was required and is missing. */
  readonly missingType?: number;
  /** The offset of the nest it is missing in; absent: the top level. */
  readonly missingNest?: number;
}

/** The answer to a request: it was carried out (errno 0), or not. */
export interface Ack {
  readonly errno: number;
  readonly extendedAck?: ExtendedAck;
}

/** Decodes NLMSG_ERROR, which is also every acknowledgement, and NLMSG_DONE. @throws {DecodeError} */
export function decodeAck(message: Message): Ack {
  const { type, flags, payload } = message;
  if (type !== NLMSG_ERROR && type !== NLMSG_DONE)
    throw new DecodeError("nlmsgerr", 0, `message type ${type} is no ack`);
  // A dump's NLMSG_DONE may be empty in old kernels.
  if (type === NLMSG_DONE && payload.length < 4) return { errno: 0 };
  // Math.abs(): errors are negative here, and a kernel that said otherwise would still mean that number.
  const errno = Math.abs(fixedHeader(payload, type === NLMSG_ERROR ? 20 : 4, "nlmsgerr").getInt32(0, true));
  if ((flags & NLM_F_ACK_TLVS) === 0) return { errno };
  const extendedAck = decodeExtendedAck(payload, type === NLMSG_DONE ? 4 : attributesOffset(message));
  return { errno, extendedAck };
}

/** After the echoed request: its header alone (NLM_F_CAPPED, or an ack of success), or with its payload. */
function attributesOffset({ flags, payload }: Message): number {
  const view = fixedHeader(payload, 20, "nlmsgerr");
  const isHeaderOnly = (flags & NLM_F_CAPPED) !== 0 || view.getInt32(0, true) === 0;
  const requestLength = view.getUint32(4, true);
  if (!isHeaderOnly && (requestLength < 16 || requestLength > payload.length - 4))
    throw new DecodeError("nlmsgerr", 4, `echoes a request of ${requestLength} bytes`);
  return 4 + (isHeaderOnly ? 16 : align4(requestLength));
}

function decodeExtendedAck(payload: Uint8Array, offset: number): ExtendedAck {
  const attributes = new Attributes(payload, "nlmsgerr", offset);
  return present({
    message: attributes.text(NLMSGERR_ATTR_MSG),
    offset: attributes.u32(NLMSGERR_ATTR_OFFS),
    missingType: attributes.u32(NLMSGERR_ATTR_MISS_TYPE),
    missingNest: attributes.u32(NLMSGERR_ATTR_MISS_NEST),
  });
}
