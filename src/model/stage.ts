import type { Direction, Stage } from "./vocabulary.ts";

/** A device of a hop: its name, or its role in a walk. */
export interface StageInput {
  readonly device: string;
  readonly direction: Direction;
  /** The first and the last hop of a leg are where the packet is made and where it arrives. */
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

const STAGES: readonly [device: RegExp, tx: Stage, rx: Stage][] = [
  [/^lo$/, "loopback", "loopback"],
  [/(^|-)veth/, "veth-tx", "bridge"],
  [/^(cni\d+|docker\d+|kube-bridge)$/, "forward", "route"],
  [/^flannel[.-]/, "vxlan-encap", "vxlan-decap"],
  [/^p-|-port$/, "wire", "wire"],
  [/^eth1$/, "postrouting", "prerouting"],
  [/^/, "underlay-tx", "underlay-rx"],
];

/** Where in the packet's life a device lies. */
export function stageOf({ device, direction, isFirst, isLast }: StageInput): Stage {
  const [, tx, rx] = STAGES.find(([pattern]) => pattern.test(device)) ?? ["", "forward" as const, "route" as const];
  if (tx === "loopback") return tx;
  if (isFirst && direction === "tx") return "app-send";
  if (isLast && direction === "rx") return "deliver";
  return direction === "tx" ? tx : rx;
}
