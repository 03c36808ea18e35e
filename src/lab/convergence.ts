// When the cluster is one: every node has a route to every other's pods, and knows every Service's endpoints.
import { Nft, Rtnl, watchRtnl } from "../kernel/index.ts";
import type { Agent } from "./agents.ts";
import { until } from "./wait.ts";

const DEADLINE_MS = 15_000;

export async function untilConverged(agents: readonly Agent[], endpoints: readonly string[]): Promise<void> {
  await Promise.all(agents.flatMap((agent) => [untilRoutes(agent, agents), untilEndpoints(agent, endpoints)]));
}

async function untilRoutes({ node }: Agent, agents: readonly Agent[]): Promise<void> {
  const subnets = agents.filter((other) => other.node !== node).map(({ subnet }) => subnet());
  const { ns } = node.anchor;
  using rtnl = Rtnl.open(ns);
  await until({
    what: `see the routes to all peers on ${node.plan.name}`,
    deadlineMs: DEADLINE_MS,
    isThere: () => {
      const present = new Set(rtnl.routes({ family: 4 }).map(({ dst }) => dst && `${dst.address}/${dst.length}`));
      return subnets.every((subnet) => present.has(subnet));
    },
    subscribe: (onChange) => watchRtnl(ns, onChange, onChange),
  });
}

async function untilEndpoints({ node }: Agent, endpoints: readonly string[]): Promise<void> {
  if (endpoints.length === 0) return;
  const addresses = new Set(endpoints.map((endpoint) => endpoint.slice(0, endpoint.lastIndexOf(":"))));
  using nft = Nft.open(node.anchor.ns);
  await until({
    what: `see the Services' endpoints on ${node.plan.name}`,
    deadlineMs: DEADLINE_MS,
    isThere: () => {
      const text = JSON.stringify(nft.listRuleset());
      return [...addresses].every((address) => text.includes(`"${address}"`));
    },
    subscribe: (onChange) => nft.watch(onChange),
  });
}
