import type { IpAddress, MacAddress } from "../../netip/index.ts";
import type { Message, Request } from "../message.ts";

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
  readonly port?: number;
  readonly vni?: number;
}

/** `bridge fdb replace MAC dev DEV dst IP self permanent`: `flags` defaults to NTF_SELF, `state` to NUD_PERMANENT. */
export interface FdbSpec {
  readonly index: number;
  readonly lladdr: MacAddress;
  readonly dst?: IpAddress;
  readonly state?: number;
  readonly flags?: number;
  readonly vlan?: number;
}

/** EEXIST when there is an entry for the MAC. */
export function newFdb(spec: FdbSpec): Request {
  throw new Error(`not yet: ${spec}`);
}

export function replaceFdb(spec: FdbSpec): Request {
  throw new Error(`not yet: ${spec}`);
}

/** Adds one more destination to a MAC of a vxlan device (`bridge fdb append`). */
export function appendFdb(spec: FdbSpec): Request {
  throw new Error(`not yet: ${spec}`);
}

export function deleteFdb(spec: Pick<FdbSpec, "index" | "lladdr" | "dst" | "flags" | "vlan">): Request {
  throw new Error(`not yet: ${spec}`);
}

/** All entries, or those of one device. */
export function dumpFdb(index?: number): Request {
  throw new Error(`not yet: ${index}`);
}

export function decodeFdb(message: Message): FdbEntry {
  throw new Error(`not yet: ${message}`);
}
