import type { IpAddress, IpFamily, MacAddress } from "../../netip/index.ts";
import type { Message, Request } from "../message.ts";

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
  readonly lladdr?: MacAddress;
  readonly state?: number;
  readonly flags?: number;
  readonly protocol?: number;
}

/** EEXIST when there is an entry for the address. */
export function newNeighbour(spec: NeighbourSpec): Request {
  throw new Error(`not yet: ${spec}`);
}

export function replaceNeighbour(spec: NeighbourSpec): Request {
  throw new Error(`not yet: ${spec}`);
}

export function deleteNeighbour(spec: Pick<NeighbourSpec, "index" | "address">): Request {
  throw new Error(`not yet: ${spec}`);
}

export function dumpNeighbours(): Request {
  throw new Error("not yet");
}

export function decodeNeighbour(message: Message): Neighbour {
  throw new Error(`not yet: ${message}`);
}
