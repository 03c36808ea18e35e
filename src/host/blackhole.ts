import { formatPrefix, type Prefix } from "../formats/netip/index.ts";
import { BLACKHOLE_PRIORITY, isOwnBlackhole, routeKey } from "./ownership.ts";
import type { Step } from "./plan.ts";
import type { ActualState } from "./state.ts";

export function blackholeKey(dst: Prefix): string {
  return routeKey({ dst, priority: BLACKHOLE_PRIORITY });
}

/** What is missing of the wanted ones. */
export function blackholeSteps(actual: ActualState, wanted: readonly Prefix[]): Step[] {
  const has = new Set(actual.routes.filter(isOwnBlackhole).map(routeKey));
  return wanted
    .filter((dst) => !has.has(blackholeKey(dst)))
    .map((dst) => ({
      of: `blackhole route ${formatPrefix(dst)}`,
      changes: [{ change: "add-blackhole" as const, dst }],
    }));
}
