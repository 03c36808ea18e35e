// include/uapi/linux/wireguard.h: a device's keys, port and peers (drivers/net/wireguard/netlink.c).
import { type IpAddress, ipFromBytes, ipToBytes, isIpv4, type Prefix } from "../../netip/index.ts";
import { Attributes, type AttributeWriter, fixedHeader } from "../attribute.ts";
import { AF_INET, AF_INET6, NLM_F_DUMP } from "../constants.ts";
import { DecodeError } from "../errors.ts";
import type { Message, Request } from "../message.ts";
import { present } from "../present.ts";
import { afterGenlmsghdr, GENL_HDRLEN, type GenericFamily, genericCommand } from "./generic.ts";
import { keyFromBytes, keyToBytes, NO_KEY, type WireGuardKey } from "./wireguard-key.ts";

export { keyFromBytes, keyToBytes, NO_KEY, parseKey, type WireGuardKey } from "./wireguard-key.ts";

export const WG_GENL_NAME = "wireguard";
export const WG_CMD_GET_DEVICE = 0;
export const WG_CMD_SET_DEVICE = 1;

const WGDEVICE_A_IFINDEX = 1;
const WGDEVICE_A_IFNAME = 2;
const WGDEVICE_A_PRIVATE_KEY = 3;
const WGDEVICE_A_PUBLIC_KEY = 4;
const WGDEVICE_A_LISTEN_PORT = 6;
const WGDEVICE_A_FWMARK = 7;
const WGDEVICE_A_PEERS = 8;

const WGPEER_A_PUBLIC_KEY = 1;
const WGPEER_A_PRESHARED_KEY = 2;
const WGPEER_A_FLAGS = 3;
const WGPEER_A_ENDPOINT = 4;
const WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL = 5;
const WGPEER_A_LAST_HANDSHAKE_TIME = 6;
const WGPEER_A_RX_BYTES = 7;
const WGPEER_A_TX_BYTES = 8;
const WGPEER_A_ALLOWEDIPS = 9;

const WGPEER_F_REMOVE_ME = 1;
const WGPEER_F_REPLACE_ALLOWEDIPS = 2;
const WGPEER_F_UPDATE_ONLY = 4;

const WGALLOWEDIP_A_FAMILY = 1;
const WGALLOWEDIP_A_IPADDR = 2;
const WGALLOWEDIP_A_CIDR_MASK = 3;

/** sizeof(struct sockaddr_in), sizeof(struct sockaddr_in6) */
const SOCKADDR_BYTES = { 4: 16, 6: 28 } as const;
/** The elements of an array of attributes have no type of their own. */
const ELEMENT = 0;

export interface WireGuardEndpoint {
  readonly address: IpAddress;
  readonly port: number;
}

export interface WireGuardPeer {
  readonly publicKey: WireGuardKey;
  readonly presharedKey?: WireGuardKey;
  /** Where its last valid packet came from, or else where it was told to be. */
  readonly endpoint?: WireGuardEndpoint;
  /** 0: none are sent. */
  readonly persistentKeepaliveSeconds: number;
  readonly allowedIps: readonly Prefix[];
  /** Since the epoch; 0: never. */
  readonly lastHandshakeSeconds: number;
  readonly rxBytes: number;
  readonly txBytes: number;
}

export interface WireGuardDevice {
  readonly index: number;
  readonly name: string;
  readonly privateKey?: WireGuardKey;
  readonly publicKey?: WireGuardKey;
  readonly listenPort: number;
  readonly fwmark: number;
  readonly peers: readonly WireGuardPeer[];
}

/** What shall change of a peer; what is left out stays. */
export interface WireGuardPeerChange {
  readonly publicKey: WireGuardKey;
  /** NO_KEY takes it away. */
  readonly presharedKey?: WireGuardKey | undefined;
  readonly endpoint?: WireGuardEndpoint | undefined;
  readonly persistentKeepaliveSeconds?: number | undefined;
  /** The whole of them: others are taken away. A prefix that another peer has is taken from that one. */
  readonly allowedIps?: readonly Prefix[] | undefined;
  readonly remove?: boolean | undefined;
  /** Does nothing when there is no such peer, rather than making one. */
  readonly updateOnly?: boolean | undefined;
}

/**
 * What shall change of a device; what is left out stays. WGDEVICE_F_REPLACE_PEERS is not offered: it would break off
 * every session of a running device.
 */
export interface WireGuardChange {
  readonly index: number;
  readonly privateKey?: WireGuardKey | undefined;
  readonly listenPort?: number | undefined;
  readonly peer?: WireGuardPeerChange | undefined;
}

/** `wg show DEV dump`: needs CAP_NET_ADMIN, as the answer holds the private key. */
export function dumpWireGuard({ id, version }: GenericFamily, index: number): Request {
  const payload = afterGenlmsghdr(WG_CMD_GET_DEVICE, version).u32(WGDEVICE_A_IFINDEX, index).finish();
  return { type: id, flags: NLM_F_DUMP, payload };
}

/** `wg set DEV …`. One peer a request, so that one the kernel refuses is no other's failure. */
export function setWireGuard({ id, version }: GenericFamily, change: WireGuardChange): Request {
  const { index, privateKey, listenPort, peer } = change;
  const attributes = afterGenlmsghdr(WG_CMD_SET_DEVICE, version)
    .u32(WGDEVICE_A_IFINDEX, index)
    .bytes(WGDEVICE_A_PRIVATE_KEY, privateKey && keyToBytes(privateKey))
    .u16(WGDEVICE_A_LISTEN_PORT, listenPort);
  if (peer) attributes.nested(WGDEVICE_A_PEERS, (peers) => peers.nested(ELEMENT, (inner) => writePeer(inner, peer)));
  return { type: id, flags: 0, payload: attributes.finish() };
}

function writePeer(attributes: AttributeWriter, peer: WireGuardPeerChange): void {
  const { allowedIps, endpoint } = peer;
  const flags =
    (peer.remove ? WGPEER_F_REMOVE_ME : 0) |
    (allowedIps ? WGPEER_F_REPLACE_ALLOWEDIPS : 0) |
    (peer.updateOnly ? WGPEER_F_UPDATE_ONLY : 0);
  attributes
    .bytes(WGPEER_A_PUBLIC_KEY, keyToBytes(peer.publicKey))
    .u32(WGPEER_A_FLAGS, flags || undefined)
    .bytes(WGPEER_A_PRESHARED_KEY, peer.presharedKey && keyToBytes(peer.presharedKey))
    .bytes(WGPEER_A_ENDPOINT, endpoint && encodeSockaddr(endpoint))
    .u16(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, peer.persistentKeepaliveSeconds);
  if (allowedIps && allowedIps.length > 0)
    attributes.nested(WGPEER_A_ALLOWEDIPS, (list) => {
      for (const { address, length } of allowedIps)
        list.nested(ELEMENT, (inner) =>
          inner
            .u16(WGALLOWEDIP_A_FAMILY, isIpv4(address) ? AF_INET : AF_INET6)
            .ip(WGALLOWEDIP_A_IPADDR, address)
            .u8(WGALLOWEDIP_A_CIDR_MASK, length),
        );
    });
}

/** struct sockaddr_in or sockaddr_in6; flow and scope are 0. */
function encodeSockaddr({ address, port }: WireGuardEndpoint): Uint8Array {
  const isV4 = isIpv4(address);
  const bytes = new Uint8Array(SOCKADDR_BYTES[isV4 ? 4 : 6]);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, isV4 ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  bytes.set(ipToBytes(address), isV4 ? 4 : 8);
  return bytes;
}

function decodeSockaddr(bytes: Uint8Array): WireGuardEndpoint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const family = bytes.length < 2 ? 0 : view.getUint16(0, true);
  const isV4 = family === AF_INET && bytes.length === SOCKADDR_BYTES[4];
  if (!isV4 && !(family === AF_INET6 && bytes.length === SOCKADDR_BYTES[6]))
    throw new DecodeError("WGPEER_A_ENDPOINT", 0, `${bytes.length} bytes of address family ${family}`);
  return { address: ipFromBytes(isV4 ? bytes.subarray(4, 8) : bytes.subarray(8, 24)), port: view.getUint16(2) };
}

/**
 * The device that a dump tells in one message or many: only the first holds the device's own settings, and a peer with
 * many prefixes goes on in the next. @throws {DecodeError}
 */
export function decodeWireGuard(messages: readonly Pick<Message, "payload">[]): WireGuardDevice {
  const peers: WireGuardPeer[] = [];
  let device: Omit<WireGuardDevice, "peers"> | undefined;
  for (const { payload } of messages) {
    fixedHeader(payload, GENL_HDRLEN, "genlmsghdr");
    const attributes = new Attributes(payload, "WG_CMD_GET_DEVICE", GENL_HDRLEN);
    device ??= decodeDevice(attributes);
    for (const element of attributes.elements(WGDEVICE_A_PEERS, "WGDEVICE_A_PEERS")) {
      const peer = decodePeer(element);
      const last = peers.at(-1);
      if (last?.publicKey !== peer.publicKey) peers.push(peer);
      else peers[peers.length - 1] = { ...last, allowedIps: [...last.allowedIps, ...peer.allowedIps] };
    }
  }
  if (!device) throw new DecodeError("WG_CMD_GET_DEVICE", 0, "no message at all");
  return { ...device, peers };
}

function decodeDevice(attributes: Attributes): Omit<WireGuardDevice, "peers"> {
  const [index, name] = [attributes.u32(WGDEVICE_A_IFINDEX), attributes.text(WGDEVICE_A_IFNAME)];
  if (index === undefined || name === undefined)
    throw new DecodeError("WG_CMD_GET_DEVICE", GENL_HDRLEN, "a device without its index or its name");
  return {
    index,
    name,
    ...present({
      privateKey: key(attributes, WGDEVICE_A_PRIVATE_KEY),
      publicKey: key(attributes, WGDEVICE_A_PUBLIC_KEY),
    }),
    listenPort: attributes.u16(WGDEVICE_A_LISTEN_PORT) ?? 0,
    fwmark: attributes.u32(WGDEVICE_A_FWMARK) ?? 0,
  };
}

function decodePeer(attributes: Attributes): WireGuardPeer {
  const publicKey = key(attributes, WGPEER_A_PUBLIC_KEY);
  if (publicKey === undefined) throw new DecodeError("WGDEVICE_A_PEERS", 0, "a peer without its public key");
  const endpoint = attributes.bytes(WGPEER_A_ENDPOINT);
  return {
    publicKey,
    ...present({
      presharedKey: key(attributes, WGPEER_A_PRESHARED_KEY),
      endpoint: endpoint && decodeSockaddr(endpoint),
    }),
    persistentKeepaliveSeconds: attributes.u16(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL) ?? 0,
    allowedIps: attributes.elements(WGPEER_A_ALLOWEDIPS, "WGPEER_A_ALLOWEDIPS").map(decodeAllowedIp),
    // struct __kernel_timespec { __s64 tv_sec; long long tv_nsec; }
    lastHandshakeSeconds: attributes.u64(WGPEER_A_LAST_HANDSHAKE_TIME, 16) ?? 0,
    rxBytes: attributes.u64(WGPEER_A_RX_BYTES) ?? 0,
    txBytes: attributes.u64(WGPEER_A_TX_BYTES) ?? 0,
  };
}

function decodeAllowedIp(attributes: Attributes): Prefix {
  const [address, length] = [attributes.ip(WGALLOWEDIP_A_IPADDR), attributes.u8(WGALLOWEDIP_A_CIDR_MASK)];
  if (address === undefined || length === undefined)
    throw new DecodeError("WGPEER_A_ALLOWEDIPS", 0, "a prefix without its address or its length");
  return { address, length };
}

/** Absent, too, when it is all zero, which is how the kernel says that there is none. */
function key(attributes: Attributes, type: number): WireGuardKey | undefined {
  const bytes = attributes.bytes(type);
  if (bytes === undefined) return undefined;
  if (bytes.length !== 32) throw new DecodeError("wireguard", 0, `attribute ${type} is a key of ${bytes.length} bytes`);
  const text = keyFromBytes(bytes);
  return text === NO_KEY ? undefined : text;
}

/** `set peer <public key> of WireGuard device flannel-wg`: never a secret. */
export function describeWireGuardRequest(request: Request, nameOf: (index: number) => string | undefined): string {
  const attributes = new Attributes(request.payload, "wireguard", GENL_HDRLEN);
  const index = attributes.u32(WGDEVICE_A_IFINDEX) ?? 0;
  const device = `WireGuard device ${nameOf(index) ?? `#${index}`}`;
  if (genericCommand(request) === WG_CMD_GET_DEVICE) return `list the peers of ${device}`;
  const [peer] = attributes.elements(WGDEVICE_A_PEERS, "WGDEVICE_A_PEERS");
  const publicKey = peer && key(peer, WGPEER_A_PUBLIC_KEY);
  if (!publicKey) return `set up ${device}`;
  const isRemoval = ((peer.u32(WGPEER_A_FLAGS) ?? 0) & WGPEER_F_REMOVE_ME) !== 0;
  return `${isRemoval ? "remove" : "set"} peer ${publicKey} of ${device}`;
}
