import {
  type Cast,
  type ChangeKind,
  type DifferenceKind,
  deviceName,
  type Hop,
  type Leg,
  legOf,
  type Walk,
  type WalkHop,
} from "../model/index.ts";

/** Where an observed leg first parts from its walk. */
export interface Difference {
  readonly leg: Leg;
  readonly kind: Exclude<DifferenceKind, "AGREE">;
  /** 1-based place in the expected leg; one past its end for a hop too many. */
  readonly hop: number;
  /** One line: what was expected, what was seen. */
  readonly text: string;
  readonly missingChanges?: readonly ChangeKind[];
  readonly extraChanges?: readonly ChangeKind[];
}

/** At most one difference a leg: the first divergence. Empty when every hop and every change is as the walk says. */
export function compare(hops: readonly Hop[], walk: Walk, cast: Cast): Difference[] {
  return (["request", "reply"] as const).flatMap((leg) => {
    const seen = hops.filter((hop) => hop.leg === leg);
    const difference = compareLeg(leg, seen, legOf(walk, leg), cast);
    return difference ? [difference] : [];
  });
}

function compareLeg(leg: Leg, seen: readonly Hop[], expected: readonly WalkHop[], cast: Cast): Difference | undefined {
  for (const [i, want] of expected.entries()) {
    const at = { leg, hop: i + 1 };
    if (cast.places[want.place] === undefined)
      return { ...at, kind: "NOT_OBSERVABLE", text: `nobody plays ${want.place} in this run` };
    const hop = seen[i];
    if (!hop) return { ...at, kind: "OBSERVED_EARLIER_LOSS", text: lossText(leg, seen.at(-1), named(want, cast)) };
    if (!isAt(hop, want, cast))
      return { ...at, kind: "OBSERVED_OTHER_PATH", text: otherPathText(i, seen, expected, cast) };
    const changes = compareChanges(hop, want);
    if (changes) return { ...at, kind: "OBSERVED_DIFFERENT_PACKET", ...changes };
  }
  const extra = seen[expected.length];
  if (!extra) return undefined;
  const text = `the ${leg} should have ended, and went on to ${spot(extra)}`;
  return { leg, hop: expected.length + 1, kind: "OBSERVED_OTHER_PATH", text };
}

function isAt(hop: Hop, want: WalkHop, cast: Cast): boolean {
  return (
    hop.netns === cast.places[want.place] &&
    hop.device === deviceName(cast, want.device) &&
    hop.direction === want.direction
  );
}

function spot({ netns, device, direction }: Pick<Hop, "netns" | "device" | "direction">): string {
  return `${netns}/${device} ${direction}`;
}

function named(want: WalkHop, cast: Cast): string {
  const { place, device, direction } = want;
  return spot({ netns: cast.places[place] ?? place, device: deviceName(cast, device), direction });
}

function lossText(leg: Leg, last: Hop | undefined, want: string): string {
  if (!last) return `the ${leg} was never seen; expected first at ${want}`;
  const drop = last.evidence.find((line) => line.startsWith("kfree_skb"));
  return `the ${leg} was last seen at ${spot(last)}, expected next at ${want}${drop ? `; ${drop}` : ""}`;
}

function otherPathText(i: number, seen: readonly Hop[], expected: readonly WalkHop[], cast: Cast): string {
  const [hop, want] = [seen[i], expected[i]];
  if (!hop || !want) return "";
  const wanted = named(want, cast);
  if (expected.slice(i + 1).some((later) => isAt(hop, later, cast)))
    return `${wanted} is missing: seen next was ${spot(hop)}`;
  if (seen.slice(i + 1).some((later) => isAt(later, want, cast)))
    return `${spot(hop)} is not on the walk: expected next was ${wanted}`;
  return `expected ${wanted}, seen ${spot(hop)}`;
}

function compareChanges(
  hop: Hop,
  want: WalkHop,
): Pick<Difference, "text" | "missingChanges" | "extraChanges"> | undefined {
  const happened = hop.diff.map((change) => change.kind);
  const missingChanges = want.changes.filter((kind) => !happened.includes(kind));
  const extra = hop.diff.filter((change) => !want.changes.includes(change.kind));
  if (missingChanges.length === 0 && extra.length === 0) return undefined;
  const said = [
    ...missingChanges.map((kind) => `expected ${kind}, which did not happen`),
    ...extra.map((change) => `not expected: ${change.kind} (${change.text})`),
  ];
  return {
    text: `at ${spot(hop)}: ${said.join("; ")}`,
    missingChanges,
    extraChanges: [...new Set(extra.map((change) => change.kind))],
  };
}
