import type { IpAddress, IpFamily } from "../../netip/index.ts";
import type { Message, Request } from "../message.ts";

/** A nexthop object (include/uapi/linux/nexthop.h), which routes name by `nexthopId`. */
export interface Nexthop {
  readonly id: number;
  /** Absent for a group or a blackhole of no family. */
  readonly family?: IpFamily;
  readonly gateway?: IpAddress;
  readonly oif?: number;
  readonly onlink: boolean;
  readonly protocol: number;
  readonly blackhole: boolean;
  readonly group?: readonly { readonly id: number; readonly weight: number }[];
}

/** `ip nexthop replace id ID via GATEWAY dev DEV onlink`. */
export interface NexthopSpec {
  readonly id: number;
  readonly family: IpFamily;
  readonly gateway?: IpAddress;
  readonly oif?: number;
  readonly onlink?: boolean;
  readonly protocol?: number;
}

export function newNexthop(spec: NexthopSpec): Request {
  throw new Error(`not yet: ${spec}`);
}

export function replaceNexthop(spec: NexthopSpec): Request {
  throw new Error(`not yet: ${spec}`);
}

/** Deletes it and every route that names it. */
export function deleteNexthop(spec: Pick<NexthopSpec, "id">): Request {
  throw new Error(`not yet: ${spec}`);
}

export function dumpNexthops(): Request {
  throw new Error("not yet");
}

export function decodeNexthop(message: Message): Nexthop {
  throw new Error(`not yet: ${message}`);
}
