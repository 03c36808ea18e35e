/** A bridge's own settings (IFLA_BR_*), those that a pod network touches. Times are in seconds, as in `ip -d`. */
export interface BridgeKind {
  readonly kind: "bridge";
  readonly stp: boolean;
  readonly ageingSeconds: number;
  readonly forwardDelaySeconds: number;
  readonly vlanFiltering: boolean;
  readonly vlanDefaultPvid: number;
  readonly multicastSnooping: boolean;
  readonly nfCallIptables: boolean;
  readonly nfCallIp6tables: boolean;
}

/** `ip link add type bridge …`; what is left out is the kernel's default. */
export type BridgeOptions = Pick<BridgeKind, "kind"> & Partial<Omit<BridgeKind, "kind">>;

/** A bridge port's settings (IFLA_BRPORT_*). */
export interface BridgePort {
  readonly state: number;
  readonly hairpin: boolean;
  readonly isolated: boolean;
  readonly learning: boolean;
  readonly unicastFlood: boolean;
  readonly multicastFlood: boolean;
  readonly broadcastFlood: boolean;
  readonly guard: boolean;
  readonly protect: boolean;
  readonly fastLeave: boolean;
  readonly proxyArp: boolean;
  readonly neighbourSuppress: boolean;
  readonly cost: number;
  readonly priority: number;
}
