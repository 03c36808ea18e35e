import { formatPrefix } from "../../formats/netip/index.ts";
import {
  type Link,
  NO_KEY,
  type WireGuardChange,
  type WireGuardDevice,
  type WireGuardKey,
  type WireGuardPeer,
  type WireGuardPeerChange,
} from "../../formats/netlink/index.ts";
import { NetlinkError } from "../../kernel/index.ts";
import type { WireGuardDoor } from "../backend.ts";

interface Kept {
  readonly index: number;
  readonly name: string;
  privateKey?: WireGuardKey;
  listenPort: number;
  peers: WireGuardPeer[];
}

/** WireGuard devices in memory, with the kernel's rules for peers (drivers/net/wireguard/netlink.c). */
export class MemoryWireGuard implements WireGuardDoor {
  /** All that was asked, refused or not. */
  readonly changes: WireGuardChange[] = [];
  /** What the kernel refuses. */
  refuses: (change: WireGuardChange) => boolean = () => false;
  readonly #linkOf: (index: number) => Link | undefined;
  readonly #devices = new Map<number, Kept>();

  constructor(linkOf: (index: number) => Link | undefined) {
    this.#linkOf = linkOf;
  }

  device(index: number): WireGuardDevice {
    return { ...this.#kept(index), fwmark: 0 };
  }

  set(changes: readonly WireGuardChange[]): readonly NetlinkError[] {
    this.changes.push(...changes);
    return changes.flatMap((change, requestIndex) => {
      if (this.refuses(change))
        return [new NetlinkError("set", { errno: 22, code: "EINVAL", reason: "Invalid argument", requestIndex })];
      const kept = this.#kept(change.index);
      if (change.privateKey) kept.privateKey = change.privateKey;
      if (change.listenPort !== undefined) kept.listenPort = change.listenPort;
      if (change.peer) kept.peers = withPeer(kept.peers, change.peer);
      return [];
    });
  }

  /** As when the peer's packets come from elsewhere, or its handshake is long ago. */
  happens(index: number, publicKey: string, what: Partial<WireGuardPeer>): void {
    const kept = this.#kept(index);
    kept.peers = kept.peers.map((peer) => (peer.publicKey === publicKey ? { ...peer, ...what } : peer));
  }

  #kept(index: number): Kept {
    const link = this.#linkOf(index);
    if (link?.kind?.kind !== "wireguard")
      throw new NetlinkError("get", { errno: 19, code: "ENODEV", reason: "No such device" });
    const kept = this.#devices.get(index) ?? { index, name: link.name, listenPort: 0, peers: [] };
    this.#devices.set(index, kept);
    return kept;
  }
}

function withPeer(peers: readonly WireGuardPeer[], change: WireGuardPeerChange): WireGuardPeer[] {
  const { publicKey, presharedKey, endpoint, persistentKeepaliveSeconds, allowedIps, remove, updateOnly } = change;
  const is = peers.find((peer) => peer.publicKey === publicKey);
  if (remove) return peers.filter((peer) => peer !== is);
  if (!is && updateOnly) return [...peers];
  const { presharedKey: before, ...rest } = is ?? {
    publicKey,
    persistentKeepaliveSeconds: 0,
    allowedIps: [],
    lastHandshakeSeconds: 0,
    rxBytes: 0,
    txBytes: 0,
  };
  const key = presharedKey === NO_KEY ? undefined : (presharedKey ?? before);
  const peer: WireGuardPeer = {
    ...rest,
    ...(key && { presharedKey: key }),
    ...(endpoint && { endpoint }),
    ...(persistentKeepaliveSeconds !== undefined && { persistentKeepaliveSeconds }),
    ...(allowedIps && { allowedIps }),
  };
  const taken = new Set(allowedIps?.map(formatPrefix));
  const others = peers.map((other) =>
    other === is
      ? peer
      : { ...other, allowedIps: other.allowedIps.filter((prefix) => !taken.has(formatPrefix(prefix))) },
  );
  return is ? others : [...others, peer];
}
