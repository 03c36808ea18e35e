/**
 * Services and NodePorts on one node: Kubernetes' Service and EndpointSlice objects to nftables, in a flat layout
 * whose number of chains and maps does not grow with the number of Services.
 *
 * plan.ts says what must be there, ruleset.ts spells it, gateway.ts does it. Knows the store only as something to
 * watch. Chain and map names are kube-proxy's; docs/nftables.md follows a packet through them.
 */
export * from "./gateway.ts";
export { GATEWAY_TABLE } from "./layout.ts";
export * from "./plan.ts";
export * from "./ruleset.ts";
export { type GatewayRuleset, gatewayTables, listGateway } from "./wanted.ts";
