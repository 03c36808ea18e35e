// struct ifaddrmsg { u8 ifa_family; u8 ifa_prefixlen; u8 ifa_flags; u8 ifa_scope; u32 ifa_index; }
import { type IpAddress, type Prefix, prefixBits, prefixFamily } from "../../netip/index.ts";
import { Attributes, AttributeWriter, fixedHeader } from "../attribute.ts";
import * as c from "../constants.ts";
import { DecodeError } from "../errors.ts";
import type { Message, Request } from "../message.ts";
import { present } from "../present.ts";
import { afOf, familyOfAf, ofFamily } from "./family.ts";

const IFADDRMSG_LENGTH = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_LABEL = 3;
const IFA_BROADCAST = 4;
const IFA_FLAGS = 8;
const IFA_PROTO = 11;

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
  /** Default: global. */
  readonly scope?: number | undefined;
  /** IFA_F_*, e.g. IFA_F_NODAD. */
  readonly flags?: number | undefined;
  readonly peer?: IpAddress | undefined;
  readonly label?: string | undefined;
  readonly broadcast?: IpAddress | undefined;
}

/** EEXIST when the device has the address. */
export function newAddress(spec: AddressSpec): Request {
  return { type: c.RTM_NEWADDR, flags: c.NLM_F_CREATE | c.NLM_F_EXCL, payload: encodeAddress(spec) };
}

/** As newAddress(), and content when the device has the address already. */
export function replaceAddress(spec: AddressSpec): Request {
  return { type: c.RTM_NEWADDR, flags: c.NLM_F_CREATE | c.NLM_F_REPLACE, payload: encodeAddress(spec) };
}

export function deleteAddress(spec: Pick<AddressSpec, "index" | "prefix" | "peer">): Request {
  return { type: c.RTM_DELADDR, flags: 0, payload: encodeAddress(spec) };
}

/** All addresses of both families, or those of one device. */
export function dumpAddresses(index = 0): Request {
  const payload = afterIfaddrmsg({ af: c.AF_UNSPEC, length: 0, scope: 0, index }).finish();
  return { type: c.RTM_GETADDR, flags: c.NLM_F_DUMP, payload };
}

function afterIfaddrmsg(fields: { af: number; length: number; scope: number; index: number }): AttributeWriter {
  return new AttributeWriter(IFADDRMSG_LENGTH, (view, at) => {
    view.setUint8(at, fields.af);
    view.setUint8(at + 1, fields.length);
    view.setUint8(at + 3, fields.scope);
    view.setUint32(at + 4, fields.index, true);
  });
}

function encodeAddress(spec: AddressSpec): Uint8Array {
  const { prefix, index, scope = c.RT_SCOPE_UNIVERSE } = spec;
  const header = { af: afOf(prefixFamily(prefix)), length: prefix.length, scope, index };
  return afterIfaddrmsg(header)
    .ip(IFA_LOCAL, prefix.address)
    .ip(IFA_ADDRESS, spec.peer ?? prefix.address)
    .ip(IFA_BROADCAST, spec.broadcast)
    .text(IFA_LABEL, spec.label)
    .u32(IFA_FLAGS, spec.flags)
    .finish();
}

/** @throws {DecodeError} */
export function decodeAddress(message: Message): Address {
  const view = fixedHeader(message.payload, IFADDRMSG_LENGTH, "ifaddrmsg");
  const attributes = new Attributes(message.payload, "ifaddrmsg", IFADDRMSG_LENGTH);
  const family = familyOfAf(view.getUint8(0), "ifaddrmsg");
  const far = ofFamily(attributes.ip(IFA_ADDRESS), family, "ifaddrmsg");
  // IFA_ADDRESS is the prefix's address, which on a point-to-point device is the far end; IFA_LOCAL is always ours.
  const address = ofFamily(attributes.ip(IFA_LOCAL), family, "ifaddrmsg") ?? far;
  if (address === undefined) throw new DecodeError("ifaddrmsg", IFADDRMSG_LENGTH, "no IFA_LOCAL and no IFA_ADDRESS");
  const length = view.getUint8(1);
  if (length > prefixBits({ address })) throw new DecodeError("ifaddrmsg", 1, `prefix length ${length}`);
  return {
    index: view.getUint32(4, true),
    prefix: { address, length },
    scope: view.getUint8(3),
    flags: attributes.u32(IFA_FLAGS) ?? view.getUint8(2),
    ...present({
      peer: far === address ? undefined : far,
      label: attributes.text(IFA_LABEL),
      broadcast: attributes.ip(IFA_BROADCAST),
      protocol: attributes.u8(IFA_PROTO),
    }),
  };
}
