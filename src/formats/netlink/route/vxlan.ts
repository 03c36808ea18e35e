import type { IpAddress } from "../../netip/index.ts";

/** A VXLAN device's settings (IFLA_VXLAN_*), in the words of `ip -d link`. */
export interface VxlanKind {
  readonly kind: "vxlan";
  /** The VNI. */
  readonly id: number;
  readonly local?: IpAddress;
  /** The `remote`/`group` address that unknown destinations go to. */
  readonly group?: IpAddress;
  /** The lower device's index. */
  readonly link?: number;
  /** UDP destination port. */
  readonly port: number;
  readonly learning: boolean;
  readonly udpCsum: boolean;
  readonly udpZeroCsum6Tx: boolean;
  readonly udpZeroCsum6Rx: boolean;
  readonly gbp: boolean;
  /** 0 is `ttl auto`. */
  readonly ttl: number;
  readonly tos: number;
  readonly ageingSeconds: number;
  /** `srcport 0 0` is the whole local range. */
  readonly portRange: readonly [low: number, high: number];
  readonly proxy: boolean;
  readonly rsc: boolean;
  readonly l2miss: boolean;
  readonly l3miss: boolean;
}

/** `ip link add type vxlan …`; what is left out is the kernel's default (port 8472, udpcsum, learning). */
export type VxlanOptions = Pick<VxlanKind, "kind" | "id"> & Partial<Omit<VxlanKind, "kind" | "id">>;
