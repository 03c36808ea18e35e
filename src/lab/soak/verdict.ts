// Which losses nobody may blame on a fault. Pure.
import type { Loss } from "./messages.ts";

/** Whose packets a fault may cost. */
export interface Touched {
  /** Every packet that crosses the fabric from or to one of these nodes. */
  readonly nodes?: readonly string[];
  /** Only what these two nodes send each other. */
  readonly pairs?: readonly (readonly [string, string])[];
}

/** From the fault's beginning until all was right again, on CLOCK_MONOTONIC. */
export interface Window extends Touched {
  /** The fault's name. */
  readonly of: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/** A packet that was sent before may have been in a queue still, on a machine that is busy. */
const IN_FLIGHT_MS = 1000;

export function isTouched({ nodes = [], pairs = [] }: Touched, a: string, b: string): boolean {
  if (a === b) return false;
  return nodes.includes(a) || nodes.includes(b) || pairs.some(([x, y]) => (x === a && y === b) || (x === b && y === a));
}

/** The losses that no window explains. */
export function unexplained(losses: readonly Loss[], windows: readonly Window[]): Loss[] {
  return losses.filter(
    (loss) =>
      !windows.some(
        (window) =>
          isTouched(window, loss.fromNode, loss.toNode) &&
          loss.sentMs >= window.fromMs - IN_FLIGHT_MS &&
          loss.waitingSinceMs <= window.toMs,
      ),
  );
}

/** Losses of one flow that are so far apart are two stories. */
const STORY_MS = 2000;

/** A line for each flow that lost something and each time it did, with the fault that was the last to begin before it. */
export function describeLosses(losses: readonly Loss[], windows: readonly Window[]): string[] {
  const byFlow = new Map<string, Loss[]>();
  for (const loss of losses.toSorted((a, b) => a.sentMs - b.sentMs)) {
    const flow = `${loss.protocol} ${loss.from} (${loss.fromNode}) -> ${loss.to} (${loss.toNode})`;
    byFlow.set(flow, [...(byFlow.get(flow) ?? []), loss]);
  }
  return [...byFlow].flatMap(([flow, lost]) => stories(lost).map((story) => describeStory(flow, story, windows)));
}

function stories(lost: readonly Loss[]): Loss[][] {
  const all: Loss[][] = [];
  for (const loss of lost) {
    const story = all.at(-1);
    const last = story?.at(-1);
    if (story && last && loss.sentMs - last.sentMs < STORY_MS) story.push(loss);
    else all.push([loss]);
  }
  return all;
}

function describeStory(flow: string, lost: readonly Loss[], windows: readonly Window[]): string {
  const [first, last] = [lost[0]?.sentMs ?? 0, lost.at(-1)?.sentMs ?? 0];
  const begun = windows.filter(({ fromMs }) => fromMs <= first);
  const round = begun.filter(({ fromMs }) => fromMs === begun.at(-1)?.fromMs);
  const since = Math.round(first - (round[0]?.toMs ?? 0));
  const after =
    round.length > 0
      ? `; the last faults were ${round.map(({ of }) => of).join(" + ")}, and all was right ${since} ms before`
      : "";
  return `lost ${lost.length} of ${flow} within ${Math.round(last - first)} ms, and no fault touched its way${after}`;
}
