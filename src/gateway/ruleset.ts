import type { GatewayState } from "./plan.ts";

export const GATEWAY_TABLE = "podpath-gateway";

/** nft text that puts the whole table in the place of what there is, in one transaction. */
export function gatewayRuleset(state: GatewayState): string {
  throw new Error(`not yet: ${state.family}`);
}

/** nft text of the element differences, or "" when there are none. */
export function gatewayUpdate(from: GatewayState, to: GatewayState): string {
  throw new Error(`not yet: ${from.family} ${to.family}`);
}
