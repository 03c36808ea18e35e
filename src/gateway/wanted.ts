import type { IpFamily } from "../formats/netip/index.ts";
import type { Store } from "../store/index.ts";
import { type Place, placeOf } from "./layout.ts";
import { StoredObjects } from "./objects.ts";
import { type GatewayOptions, planGateway } from "./plan.ts";
import { gatewayRuleset } from "./ruleset.ts";

/** What one family's table should hold, as nft text. */
export interface GatewayRuleset {
  readonly family: IpFamily;
  readonly text: string;
}

export const SERVICES_PREFIX = "/podpath/services";

/** What a gateway with these options makes of the Services that the store holds now. @throws {EtcdError} */
export async function listGateway(
  store: Pick<Store, "list">,
  options: GatewayOptions,
  families: readonly IpFamily[],
  prefix: string = SERVICES_PREFIX,
): Promise<GatewayRuleset[]> {
  const objects = new StoredObjects(prefix, () => {});
  objects.take({ type: "snapshot", ...(await store.list(`${prefix}/`)) });
  return gatewayRulesets(objects, options, families);
}

export function gatewayRulesets(
  { services, endpointSlices }: Pick<StoredObjects, "services" | "endpointSlices">,
  options: GatewayOptions,
  families: readonly IpFamily[],
): GatewayRuleset[] {
  return families.map((family) => ({
    family,
    text: gatewayRuleset(planGateway(services, endpointSlices, options, family)),
  }));
}

export function gatewayTables(families: readonly IpFamily[]): Place[] {
  return families.map(placeOf);
}
