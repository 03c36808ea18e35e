import { type MacAddress, macFromBytes, macToBytes } from "../netip/index.ts";
import { DecodeError } from "./errors.ts";

export const ETHERNET_HEADER_BYTES = 14;
/** IEEE 802 numbers, include/uapi/linux/if_ether.h. */
export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;
export const ETH_P_8021Q = 0x8100;
export const ETH_P_IPV6 = 0x86dd;

/** An Ethernet II frame without its FCS, as AF_PACKET gives it. */
export interface Ethernet {
  destination: MacAddress;
  source: MacAddress;
  etherType: number;
  payload: Uint8Array;
}

/** @throws {DecodeError} below 14 bytes */
export function decodeEthernet(bytes: Uint8Array): Ethernet {
  if (bytes.length < ETHERNET_HEADER_BYTES)
    throw new DecodeError("ethernet", bytes.length, `${bytes.length} bytes, a header has ${ETHERNET_HEADER_BYTES}`);
  return {
    destination: macFromBytes(bytes.subarray(0, 6)),
    source: macFromBytes(bytes.subarray(6, 12)),
    etherType: ((bytes[12] ?? 0) << 8) | (bytes[13] ?? 0),
    payload: bytes.subarray(ETHERNET_HEADER_BYTES),
  };
}

export function encodeEthernet(frame: Ethernet): Uint8Array {
  const bytes = new Uint8Array(ETHERNET_HEADER_BYTES + frame.payload.length);
  bytes.set(macToBytes(frame.destination), 0);
  bytes.set(macToBytes(frame.source), 6);
  new DataView(bytes.buffer).setUint16(12, frame.etherType);
  bytes.set(frame.payload, ETHERNET_HEADER_BYTES);
  return bytes;
}
