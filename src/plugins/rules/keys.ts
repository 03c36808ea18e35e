// The names under which the reference plugins file an attachment's rules, so that each finds the other's.
import { createHash } from "node:crypto";
import type { AttachmentId } from "./wanted.ts";

function sha512(text: string): string {
  return createHash("sha512").update(text).digest("hex");
}

/** What iptables takes for a chain's name. */
const CHAIN_NAME_MAX = 28;

/** `CNI-0bb6a424babc4d14754a3300`; portmap's with `DN-`. */
export function iptablesChain({ network, containerId }: AttachmentId, prefix = ""): string {
  return `CNI-${prefix}${sha512(network + containerId)}`.slice(0, CHAIN_NAME_MAX);
}

/** A device's name: IFNAMSIZ without its NUL. */
const DEVICE_NAME_MAX = 15;

/** `bwp0bb6a424babc`: bandwidth's device. */
export function hashedDevice(prefix: string, { network, containerId }: AttachmentId): string {
  return `${prefix}${sha512(network + containerId)}`.slice(0, DEVICE_NAME_MAX);
}

function hash16(text: string): string {
  return sha512(text).slice(0, 16);
}

/** Begins the comment of every masquerade rule of a network. */
export function networkKey(network: string): string {
  return hash16(network);
}

/** Begins the comment of an attachment's masquerade rules. */
export function attachmentKey({ network, containerId, ifName }: AttachmentId): string {
  return `${networkKey(network)}-${hash16(`${ifName}:${containerId}`)}`;
}
