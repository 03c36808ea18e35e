import type { LeaseAttrs, NetworkConfig } from "../formats/flannel/index.ts";
import type { Ipv4Address, Ipv6Address } from "../formats/netip/index.ts";
import type { ActualState, StepFailure, WantedState } from "../host/index.ts";
import type { NetNs, Rtnl, WireGuard } from "../kernel/index.ts";
import type { Lease } from "../subnet/index.ts";

export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The interface the nodes reach each other by, and the addresses the others are told to use. */
export interface ExternalInterface {
  readonly name: string;
  readonly index: number;
  readonly mtuBytes: number;
  /** The interface's own addresses: the source of what we send. */
  readonly address?: Ipv4Address;
  readonly ipv6Address?: Ipv6Address;
  /** What the lease publishes; another than `address` behind NAT. */
  readonly publicIp?: Ipv4Address;
  readonly publicIpv6?: Ipv6Address;
}

/** The part of Rtnl that a backend needs. */
export type BackendRtnl = Pick<Rtnl, "link" | "execute">;

/** The part of WireGuard that a backend needs. */
export type WireGuardDoor = Pick<WireGuard, "device" | "set">;

export interface BackendOptions {
  readonly rtnl: BackendRtnl;
  /** The namespace of `rtnl`; default: our own. */
  readonly ns?: NetNs;
  readonly network: NetworkConfig;
  /** Default: the kernel's, in the namespace of `rtnl`. */
  readonly wireguard?: WireGuardDoor;
  /** Where to leave what the next process has to know; default: nowhere. */
  readonly stateDir?: string;
  /** Asks for a pass: something of the backend's own has changed, or failed. */
  readonly onChange?: () => void;
  readonly log: Log;
}

/** What a backend that carries packets in this process has counted since it started. */
export interface Traffic {
  /** Into the tunnel (tx) and out of it (rx). */
  readonly packets: Readonly<Record<"tx" | "rx", number>>;
  readonly bytes: Readonly<Record<"tx" | "rx", number>>;
  /** Packets that went nowhere, by reason. */
  readonly drops: Readonly<Record<string, number>>;
}

/** One way for packets to travel between nodes. */
export interface Backend {
  /** `Backend.Type` of the network config: `vxlan`. */
  readonly type: string;
  /** The devices it has in this namespace. */
  readonly deviceNames: readonly string[];
  /** wanted() depends on the routes to the other nodes (DirectRouting): whenever those change, it has to be asked again. */
  readonly followsRoutes?: boolean;
  /** The MTU of pods on this node. */
  mtuBytes(external: ExternalInterface): number;
  /** What this node's lease shall say. `leases`: all there are, one of which may be this node's from before. */
  leaseAttrs(external: ExternalInterface, leases: readonly Lease[]): LeaseAttrs | Promise<LeaseAttrs>;
  /**
   * Makes the devices what they should be, or leaves them when they are. Says which it had to make anew.
   * @throws {BackendError} with what to do about it
   */
  ensureDevices(external: ExternalInterface, attrs: LeaseAttrs): readonly string[];
  /**
   * Takes the devices as they are, for a look that changes nothing: wanted() speaks of them from then on. Says what of
   * them ensureDevices() would change. Without this method only the process that made the devices can tell.
   */
  findDevices?(external: ExternalInterface, attrs: LeaseAttrs): readonly string[];
  /** All that `own` and the peers need in the kernel. Pure but for log lines about leases that cannot be used. */
  wanted(own: Lease, peers: readonly Lease[], external: ExternalInterface, actual: ActualState): WantedState;
  /**
   * The rest of what `own` and the peers need, where rtnetlink's tables do not hold it: WireGuard's peers, the
   * forwarding table of a tunnel in this process, somebody's commands. As level-triggered as wanted(): called in every
   * pass, after host is done, with all peers; it finds the difference by itself. Gives what failed, part by part.
   * @param skip says of a part that failed before, by its `of`, that it shall not be tried again yet
   */
  settle?(
    own: Lease,
    peers: readonly Lease[],
    external: ExternalInterface,
    skip: (of: string) => boolean,
  ): Promise<readonly StepFailure[]>;
  traffic?(): Traffic;
  /** Ends what runs in this process. The kernel's state stays. */
  stop?(): Promise<void>;
  /** Removes what it made: the undo of a start that failed. */
  removeDevices(): void;
}
