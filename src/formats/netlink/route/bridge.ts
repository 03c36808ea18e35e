// include/uapi/linux/if_link.h: IFLA_BR_* in IFLA_INFO_DATA of a bridge, IFLA_BRPORT_* in IFLA_INFO_SLAVE_DATA of its ports.
import type { Attributes, AttributeWriter } from "../attribute.ts";
import type { Loose } from "../present.ts";

const IFLA_BR_FORWARD_DELAY = 1;
const IFLA_BR_AGEING_TIME = 4;
const IFLA_BR_STP_STATE = 5;
const IFLA_BR_VLAN_FILTERING = 7;
const IFLA_BR_MCAST_SNOOPING = 23;
const IFLA_BR_NF_CALL_IPTABLES = 36;
const IFLA_BR_NF_CALL_IP6TABLES = 37;
const IFLA_BR_VLAN_DEFAULT_PVID = 39;

const IFLA_BRPORT_STATE = 1;
const IFLA_BRPORT_PRIORITY = 2;
const IFLA_BRPORT_COST = 3;
const IFLA_BRPORT_MODE = 4;
const IFLA_BRPORT_GUARD = 5;
const IFLA_BRPORT_PROTECT = 6;
const IFLA_BRPORT_FAST_LEAVE = 7;
const IFLA_BRPORT_LEARNING = 8;
const IFLA_BRPORT_UNICAST_FLOOD = 9;
const IFLA_BRPORT_PROXYARP = 10;
const IFLA_BRPORT_MCAST_FLOOD = 27;
const IFLA_BRPORT_BCAST_FLOOD = 30;
const IFLA_BRPORT_NEIGH_SUPPRESS = 32;
const IFLA_BRPORT_ISOLATED = 33;

/** The kernel counts a bridge's times in clock ticks for user space, a hundred a second whatever HZ is. */
const USER_HZ = 100;

/** A bridge's own settings, those that a pod network touches. */
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

type BridgeSettings = Omit<BridgeKind, "kind">;

/** `ip link add type bridge …`; what is left out is the kernel's default. */
export type BridgeOptions = Pick<BridgeKind, "kind"> & Loose<BridgeSettings>;

/** A bridge port's settings. */
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

export function writeBridge(data: AttributeWriter, bridge: Loose<BridgeSettings>): void {
  const ticks = (seconds: number | undefined): number | undefined =>
    seconds === undefined ? undefined : Math.round(seconds * USER_HZ);
  data
    .u32(IFLA_BR_FORWARD_DELAY, ticks(bridge.forwardDelaySeconds))
    .u32(IFLA_BR_AGEING_TIME, ticks(bridge.ageingSeconds))
    .u32(IFLA_BR_STP_STATE, bridge.stp === undefined ? undefined : Number(bridge.stp))
    .u16(IFLA_BR_VLAN_DEFAULT_PVID, bridge.vlanDefaultPvid)
    .bool(IFLA_BR_VLAN_FILTERING, bridge.vlanFiltering)
    .bool(IFLA_BR_MCAST_SNOOPING, bridge.multicastSnooping)
    .bool(IFLA_BR_NF_CALL_IPTABLES, bridge.nfCallIptables)
    .bool(IFLA_BR_NF_CALL_IP6TABLES, bridge.nfCallIp6tables);
}

/** What a kernel built without the option does not send reads as off. */
export function readBridge(data: Attributes): BridgeKind {
  return {
    kind: "bridge",
    stp: (data.u32(IFLA_BR_STP_STATE) ?? 0) !== 0,
    ageingSeconds: (data.u32(IFLA_BR_AGEING_TIME) ?? 0) / USER_HZ,
    forwardDelaySeconds: (data.u32(IFLA_BR_FORWARD_DELAY) ?? 0) / USER_HZ,
    vlanFiltering: data.bool(IFLA_BR_VLAN_FILTERING) ?? false,
    vlanDefaultPvid: data.u16(IFLA_BR_VLAN_DEFAULT_PVID) ?? 0,
    multicastSnooping: data.bool(IFLA_BR_MCAST_SNOOPING) ?? false,
    nfCallIptables: data.bool(IFLA_BR_NF_CALL_IPTABLES) ?? false,
    nfCallIp6tables: data.bool(IFLA_BR_NF_CALL_IP6TABLES) ?? false,
  };
}

export function writeBridgePort(data: AttributeWriter, port: Loose<BridgePort>): void {
  data
    .u8(IFLA_BRPORT_STATE, port.state)
    .u16(IFLA_BRPORT_PRIORITY, port.priority)
    .u32(IFLA_BRPORT_COST, port.cost)
    .bool(IFLA_BRPORT_MODE, port.hairpin)
    .bool(IFLA_BRPORT_GUARD, port.guard)
    .bool(IFLA_BRPORT_PROTECT, port.protect)
    .bool(IFLA_BRPORT_FAST_LEAVE, port.fastLeave)
    .bool(IFLA_BRPORT_LEARNING, port.learning)
    .bool(IFLA_BRPORT_UNICAST_FLOOD, port.unicastFlood)
    .bool(IFLA_BRPORT_PROXYARP, port.proxyArp)
    .bool(IFLA_BRPORT_MCAST_FLOOD, port.multicastFlood)
    .bool(IFLA_BRPORT_BCAST_FLOOD, port.broadcastFlood)
    .bool(IFLA_BRPORT_NEIGH_SUPPRESS, port.neighbourSuppress)
    .bool(IFLA_BRPORT_ISOLATED, port.isolated);
}

export function readBridgePort(data: Attributes): BridgePort {
  return {
    state: data.u8(IFLA_BRPORT_STATE) ?? 0,
    hairpin: data.bool(IFLA_BRPORT_MODE) ?? false,
    isolated: data.bool(IFLA_BRPORT_ISOLATED) ?? false,
    learning: data.bool(IFLA_BRPORT_LEARNING) ?? false,
    unicastFlood: data.bool(IFLA_BRPORT_UNICAST_FLOOD) ?? false,
    multicastFlood: data.bool(IFLA_BRPORT_MCAST_FLOOD) ?? false,
    broadcastFlood: data.bool(IFLA_BRPORT_BCAST_FLOOD) ?? false,
    guard: data.bool(IFLA_BRPORT_GUARD) ?? false,
    protect: data.bool(IFLA_BRPORT_PROTECT) ?? false,
    fastLeave: data.bool(IFLA_BRPORT_FAST_LEAVE) ?? false,
    proxyArp: data.bool(IFLA_BRPORT_PROXYARP) ?? false,
    neighbourSuppress: data.bool(IFLA_BRPORT_NEIGH_SUPPRESS) ?? false,
    cost: data.u32(IFLA_BRPORT_COST) ?? 0,
    priority: data.u16(IFLA_BRPORT_PRIORITY) ?? 0,
  };
}
