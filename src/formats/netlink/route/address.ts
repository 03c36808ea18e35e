import type { IpAddress, Prefix } from "../../netip/index.ts";
import type { Message, Request } from "../message.ts";

/** An address on a device as RTM_NEWADDR reports it. */
export interface Address {
  readonly index: number;
  /** The address itself with its prefix length: `10.244.1.1/24`. */
  readonly prefix: Prefix;
  readonly scope: number;
  /** IFA_F_*. */
  readonly flags: number;
  /** The far end of a point-to-point address, when it differs. */
  readonly peer?: IpAddress;
  readonly label?: string;
  readonly broadcast?: IpAddress;
  readonly protocol?: number;
}

/** `ip addr add`. */
export interface AddressSpec {
  readonly index: number;
  readonly prefix: Prefix;
  /** Default: global; host for loopback addresses. */
  readonly scope?: number;
  readonly flags?: number;
  readonly peer?: IpAddress;
  readonly label?: string;
  readonly broadcast?: IpAddress;
}

/** EEXIST when the device has the address. */
export function newAddress(spec: AddressSpec): Request {
  throw new Error(`not yet: ${spec}`);
}

/** As newAddress(), and content when the device has the address already. */
export function replaceAddress(spec: AddressSpec): Request {
  throw new Error(`not yet: ${spec}`);
}

export function deleteAddress(spec: Pick<AddressSpec, "index" | "prefix">): Request {
  throw new Error(`not yet: ${spec}`);
}

export function dumpAddresses(): Request {
  throw new Error("not yet");
}

export function decodeAddress(message: Message): Address {
  throw new Error(`not yet: ${message}`);
}
