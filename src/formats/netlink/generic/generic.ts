// struct genlmsghdr { __u8 cmd; __u8 version; __u16 reserved; } (include/uapi/linux/genetlink.h): kernel subsystems that
// have no netlink family number of their own get one when they are loaded, and are asked for by name.
import { Attributes, AttributeWriter, fixedHeader } from "../attribute.ts";
import { DecodeError } from "../errors.ts";
import type { Message, Request } from "../message.ts";

export const GENL_HDRLEN = 4;
/** The message type of the controller, which knows the others'. */
const GENL_ID_CTRL = 0x10;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
const CTRL_ATTR_VERSION = 3;

/** A generic netlink family as this kernel numbers it. */
export interface GenericFamily {
  /** Its messages' nlmsg_type. */
  readonly id: number;
  readonly name: string;
  readonly version: number;
}

/** A writer that stands behind a genlmsghdr. */
export function afterGenlmsghdr(command: number, version: number): AttributeWriter {
  return new AttributeWriter(GENL_HDRLEN, (view, at) => {
    view.setUint8(at, command);
    view.setUint8(at + 1, version);
  });
}

/** Which command a message is of its family. @throws {DecodeError} */
export function genericCommand(message: Pick<Message, "payload">): number {
  return fixedHeader(message.payload, GENL_HDRLEN, "genlmsghdr").getUint8(0);
}

/** `genl ctrl get name NAME`; ENOENT when the kernel has no such family. With CAP_NET_ADMIN it loads a module for it. */
export function getFamily(name: string): Request {
  const payload = afterGenlmsghdr(CTRL_CMD_GETFAMILY, 1).text(CTRL_ATTR_FAMILY_NAME, name).finish();
  return { type: GENL_ID_CTRL, flags: 0, payload };
}

/** The controller's answer to getFamily(), CTRL_CMD_NEWFAMILY. @throws {DecodeError} */
export function decodeFamily({ payload }: Pick<Message, "payload">): GenericFamily {
  fixedHeader(payload, GENL_HDRLEN, "genlmsghdr");
  const attributes = new Attributes(payload, "CTRL_CMD_NEWFAMILY", GENL_HDRLEN);
  const id = attributes.u16(CTRL_ATTR_FAMILY_ID);
  const name = attributes.text(CTRL_ATTR_FAMILY_NAME);
  if (id === undefined || name === undefined)
    throw new DecodeError("CTRL_CMD_NEWFAMILY", GENL_HDRLEN, "a family without its number or its name");
  return { id, name, version: attributes.u32(CTRL_ATTR_VERSION) ?? 0 };
}

/** A request of generic netlink, for error messages: that of a known family is better described by itself. Never throws. */
export function describeGenericRequest(request: Request): string {
  try {
    if (request.type !== GENL_ID_CTRL) return `carry out generic netlink request ${genericCommand(request)}`;
    const name = new Attributes(request.payload, "genlmsghdr", GENL_HDRLEN).text(CTRL_ATTR_FAMILY_NAME);
    return `find the generic netlink family ${name}`;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return "carry out a generic netlink request";
  }
}
