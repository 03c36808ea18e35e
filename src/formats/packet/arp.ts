import { type Ipv4Address, ipFromBytes, ipToBytes, type MacAddress, macFromBytes, macToBytes } from "../netip/index.ts";
import { DecodeError } from "./errors.ts";
import { ETH_P_IP } from "./ethernet.ts";

export const ARPOP_REQUEST = 1;
export const ARPOP_REPLY = 2;
const ARP_BYTES = 28;
const ARPHRD_ETHER = 1;

/** ARP for IPv4 over Ethernet (RFC 826); other hardware and protocols are refused. */
export interface Arp {
  operation: number;
  senderMac: MacAddress;
  senderIp: Ipv4Address;
  targetMac: MacAddress;
  targetIp: Ipv4Address;
}

/** Reads the first 28 bytes; the padding of a short Ethernet frame may follow. @throws {DecodeError} */
export function decodeArp(bytes: Uint8Array): Arp {
  if (bytes.length < ARP_BYTES)
    throw new DecodeError("arp", bytes.length, `${bytes.length} bytes, ARP has ${ARP_BYTES}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, ARP_BYTES);
  if (view.getUint16(0) !== ARPHRD_ETHER || bytes[4] !== 6)
    throw new DecodeError("arp", 0, `hardware type ${view.getUint16(0)}, want Ethernet`);
  if (view.getUint16(2) !== ETH_P_IP || bytes[5] !== 4)
    throw new DecodeError("arp", 2, `protocol 0x${view.getUint16(2).toString(16)}, want IPv4`);
  return {
    operation: view.getUint16(6),
    senderMac: macFromBytes(bytes.subarray(8, 14)),
    senderIp: ipFromBytes(bytes.subarray(14, 18)) as Ipv4Address,
    targetMac: macFromBytes(bytes.subarray(18, 24)),
    targetIp: ipFromBytes(bytes.subarray(24, 28)) as Ipv4Address,
  };
}

export function encodeArp(arp: Arp): Uint8Array {
  const bytes = new Uint8Array(ARP_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, ARPHRD_ETHER);
  view.setUint16(2, ETH_P_IP);
  view.setUint8(4, 6);
  view.setUint8(5, 4);
  view.setUint16(6, arp.operation);
  bytes.set(macToBytes(arp.senderMac), 8);
  bytes.set(ipToBytes(arp.senderIp), 14);
  bytes.set(macToBytes(arp.targetMac), 18);
  bytes.set(ipToBytes(arp.targetIp), 24);
  return bytes;
}
