import { formatPrefix, type Prefix } from "../../formats/netip/index.ts";
import {
  NO_KEY,
  type WireGuardDevice,
  type WireGuardEndpoint,
  type WireGuardKey,
  type WireGuardPeer,
  type WireGuardPeerChange,
} from "../../formats/netlink/index.ts";

/** After so long without a new handshake no packet of a session is taken any more (WireGuard's REJECT_AFTER_TIME). */
const SESSION_SECONDS = 180;

/** What one peer node shall be on a device. */
export interface WantedTunnel {
  /** The peer in messages: its subnet. */
  readonly of: string;
  readonly publicKey: WireGuardKey;
  readonly presharedKey?: WireGuardKey | undefined;
  readonly endpoint: WireGuardEndpoint;
  readonly persistentKeepaliveSeconds: number;
  readonly allowedIps: readonly Prefix[];
}

export interface PeerDifference {
  readonly of: string;
  readonly change: WireGuardPeerChange;
}

export interface DifferenceContext {
  /** Where each peer was last told to be by this process. */
  readonly told: ReadonlyMap<WireGuardKey, WireGuardEndpoint>;
  /** Since the epoch. */
  readonly nowSeconds: number;
}

/**
 * What to change of the device's peers, and nothing that is as it should be, so that no session is disturbed. Stale
 * peers come last: a node with a new key is reachable by that before its old one goes.
 */
export function differences(
  device: Pick<WireGuardDevice, "peers">,
  wanted: readonly WantedTunnel[],
  context: DifferenceContext,
): PeerDifference[] {
  const is = new Map(device.peers.map((peer) => [peer.publicKey, peer]));
  const keys = new Set(wanted.map(({ publicKey }) => publicKey));
  return [
    ...wanted.flatMap((tunnel) => {
      const change = peerChange(is.get(tunnel.publicKey), tunnel, context);
      return change ? [{ of: tunnel.of, change }] : [];
    }),
    ...device.peers
      .filter(({ publicKey }) => !keys.has(publicKey))
      .map(({ publicKey }) => ({ of: `stale WireGuard peer ${publicKey}`, change: { publicKey, remove: true } })),
  ];
}

function peerChange(
  is: WireGuardPeer | undefined,
  wanted: WantedTunnel,
  context: DifferenceContext,
): WireGuardPeerChange | undefined {
  const { publicKey, presharedKey, endpoint, persistentKeepaliveSeconds, allowedIps } = wanted;
  if (!is) return { publicKey, presharedKey, endpoint, persistentKeepaliveSeconds, allowedIps };
  const change = {
    ...(is.presharedKey !== presharedKey && { presharedKey: presharedKey ?? NO_KEY }),
    ...(is.persistentKeepaliveSeconds !== persistentKeepaliveSeconds && { persistentKeepaliveSeconds }),
    ...(setOf(is.allowedIps) !== setOf(allowedIps) && { allowedIps }),
    ...(hasToMove(is, wanted, context) && { endpoint }),
  };
  return Object.keys(change).length > 0 ? { publicKey, updateOnly: true, ...change } : undefined;
}

/**
 * A peer's endpoint follows the packets it sends, which NAT may have given another port. As long as that works it stays;
 * once there is no session any more, the lease knows better (flannel issue 1770). A lease that changed knows at once.
 */
function hasToMove(is: WireGuardPeer, { publicKey, endpoint }: WantedTunnel, context: DifferenceContext): boolean {
  if (isSame(is.endpoint, endpoint)) return false;
  const told = context.told.get(publicKey);
  if (told && !isSame(told, endpoint)) return true;
  return context.nowSeconds - is.lastHandshakeSeconds > SESSION_SECONDS;
}

export function isSame(a: WireGuardEndpoint | undefined, b: WireGuardEndpoint | undefined): boolean {
  return a?.address === b?.address && a?.port === b?.port;
}

function setOf(prefixes: readonly Prefix[]): string {
  return prefixes.map(formatPrefix).sort().join(" ");
}
