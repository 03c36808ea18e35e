import type { Cast, ChangeKind, DifferenceKind, Hop, Leg, Walk } from "../model/index.ts";

/** Where an observed leg first parts from its walk. */
export interface Difference {
  readonly leg: Leg;
  readonly kind: Exclude<DifferenceKind, "AGREE">;
  /** 1-based place in the expected leg. */
  readonly hop: number;
  /** One line: what was expected, what was seen. */
  readonly text: string;
  readonly missingChanges?: readonly ChangeKind[];
  readonly extraChanges?: readonly ChangeKind[];
}

/** At most one difference a leg: the first divergence. Empty when every hop and every change is as the walk says. */
export function compare(hops: readonly Hop[], walk: Walk, cast: Cast): Difference[] {
  throw new Error(`compare(${hops.length}, ${walk.name}, ${Object.keys(cast.places).length}): not written yet`);
}
