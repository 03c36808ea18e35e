import type { ChangeKind, Direction, Leg, Stage } from "../vocabulary.ts";

/** A namespace's part in a walk. In walk 2 and 3 the source's and the destination's node are one. */
export type Place = "src-pod" | "src-node" | "fabric" | "gateway" | "dst-node" | "dst-pod" | "client";

/**
 * A device's part in a walk. The kernel's own names stand for themselves; `src-veth` and `dst-veth` are the host ends of
 * the pods' veth pairs, `*-port` the ports of the lab's fabric bridge.
 */
export type DeviceRole =
  | "lo"
  | "eth0"
  | "eth1"
  | "cni0"
  | "flannel.1"
  | "src-veth"
  | "dst-veth"
  | "src-port"
  | "dst-port"
  | "gateway-port";

/** One expected hop. */
export interface WalkHop {
  readonly place: Place;
  readonly device: DeviceRole;
  readonly direction: Direction;
  readonly stage: Stage;
  /** What must have changed in the packet since the hop before; nothing else may. */
  readonly changes: readonly ChangeKind[];
  /** What the kernel does here, in a sentence. */
  readonly what: string;
  /** The folder or file of this repository that programs it. */
  readonly madeBy: string;
}

/** A row of a walk's list. */
export function hop(
  [place, device, direction]: readonly [Place, DeviceRole, Direction],
  stage: Stage,
  changes: readonly ChangeKind[],
  madeBy: string,
  what: string,
): WalkHop {
  return { place, device, direction, stage, changes, madeBy, what };
}

export interface Walk {
  readonly number: 1 | 2 | 3 | 4 | 5 | 6;
  /** `pod-to-pod-other-host`: also the page's file name in docs/walks. */
  readonly name: string;
  readonly title: string;
  readonly summary: string;
  /** Where the popular picture and Linux part, when they do. */
  readonly truth?: string;
  readonly request: readonly WalkHop[];
  readonly reply: readonly WalkHop[];
}

/** Who plays which part in one run of a walk. */
export interface Cast {
  /** Place -> namespace name, as given to `observe`. */
  readonly places: Readonly<Partial<Record<Place, string>>>;
  /** Device role -> device name. What is left out is called as its role is. */
  readonly devices: Readonly<Partial<Record<DeviceRole, string>>>;
}

export function deviceName(cast: Cast, role: DeviceRole): string {
  return cast.devices[role] ?? role;
}

export function legOf(walk: Walk, leg: Leg): readonly WalkHop[] {
  return leg === "request" ? walk.request : walk.reply;
}
