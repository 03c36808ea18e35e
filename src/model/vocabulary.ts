import type { Layer } from "../formats/packet/index.ts";

/** The way a packet passes a device, as AF_PACKET sees it: handed to the device, or received by it. */
export type Direction = "tx" | "rx";
/** A scenario is a request and its reply; each has hops of its own. */
export type Leg = "request" | "reply";
export type ProbeProtocol = "tcp" | "udp" | "icmp";

/** Where in a packet's life a hop lies. */
export type Stage =
  | "app-send"
  | "loopback"
  | "veth-tx"
  | "bridge"
  | "prerouting"
  | "route"
  | "forward"
  | "postrouting"
  | "vxlan-encap"
  | "underlay-tx"
  | "wire"
  | "underlay-rx"
  | "vxlan-decap"
  | "deliver";

/** How a whole trace ended. */
export type Disposition =
  | "DELIVERED"
  | "REJECTED"
  | "DROPPED"
  | "NO_ROUTE"
  | "NULL_ROUTED"
  | "NEIGHBOUR_UNREACHABLE"
  | "TOO_BIG"
  | "LOOP"
  | "LEFT_NETWORK"
  | "UNDETERMINED";

/** How an observed leg stands to the expected one. */
export type DifferenceKind =
  | "AGREE"
  | "OBSERVED_EARLIER_LOSS"
  | "OBSERVED_DIFFERENT_PACKET"
  | "OBSERVED_OTHER_PATH"
  | "PREDICTED_DROP_BUT_DELIVERED"
  | "NOT_OBSERVABLE";

/**
 * What may happen to a packet between two hops. `ttl-1` is one router; any other TTL step is `ttl`. The `un-` forms are
 * conntrack's reversal on a reply. `outer-*` is the VXLAN carrier's. `other` is any change that has no name.
 */
export type ChangeKind =
  | "mac"
  | "ttl-1"
  | "ttl"
  | "dnat"
  | "snat"
  | "un-dnat"
  | "un-snat"
  | "vxlan-encap"
  | "vxlan-decap"
  | "outer-mac"
  | "outer-ttl"
  | "outer-address"
  | "other";

/** One thing that changed in the packet since the hop before. */
export interface Change {
  readonly kind: ChangeKind;
  /** What changed and how, for people: `10.96.0.10:80 -> 10.244.1.2:8080`. */
  readonly text: string;
  readonly before?: string;
  readonly after?: string;
}

/** One observation of the probe's packet at one device. */
export interface Hop {
  readonly leg: Leg;
  /** Counts from 1 in each leg. */
  readonly index: number;
  readonly node: string;
  /** The network namespace's name, unique in the trace: `node1`, `pod-a`. */
  readonly netns: string;
  /** The device's name in its namespace. */
  readonly device: string;
  readonly direction: Direction;
  readonly stage: Stage;
  readonly packet: readonly Layer[];
  readonly summary: string;
  readonly diff: readonly Change[];
  /** Observations on the packet that are no change: a partial checksum, a fragment. */
  readonly notes: readonly string[];
  /** Microseconds since the first hop of the request. */
  readonly tUs: number;
  /** The kernel's clock, nanoseconds since 1970. */
  readonly timestampNs: bigint;
  readonly frame: Uint8Array;
  /** What the kernel's tracepoints said between this hop and the next: route lookups, drops. */
  readonly evidence: readonly string[];
}
