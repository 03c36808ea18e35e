import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { endpointSlicesFor, parseEndpointSlice } from "../formats/kubernetes/index.ts";
import { parseIp, parsePrefix } from "../formats/netip/index.ts";
import { printElement } from "../formats/nftables/index.ts";
import type { Target } from "./endpoints.ts";
import {
  GATEWAY_SETS,
  type GatewaySet,
  type GatewayState,
  gatewayRuleset,
  gatewayUpdate,
  planGateway,
} from "./index.ts";
import { AFFINITY_SLOT_CLASSES, dealSlots, MAX_TARGETS, SLOT_CLASSES } from "./slots.ts";
import { OPTIONS, pod, SERVICES, SLICES, service } from "./testing/example.ts";

function elements(state: GatewayState): Partial<Record<GatewaySet, string[]>> {
  const filled = GATEWAY_SETS.filter((set) => state.elements[set].size > 0);
  return Object.fromEntries(filled.map((set) => [set, [...state.elements[set].values()].map(printElement)]));
}

test("planGateway() makes elements of Services and endpoints", () => {
  assert.deepEqual(elements(planGateway(SERVICES, SLICES, OPTIONS)), {
    "cluster-ips": ['10.96.0.20 comment "default/idle"', '10.96.0.10 comment "default/web"'],
    "service-ips": [
      '10.96.0.10 . tcp . 80 comment "default/web" : goto service-2',
      '10.96.0.10 . udp . 80 comment "default/web" : goto service-2',
    ],
    "service-nodeports": [
      'tcp . 30080 comment "default/web" : goto nodeport-2',
      'udp . 30080 comment "default/web" : goto nodeport-2',
    ],
    "service-icmp": ['10.96.0.10 comment "default/web" : goto icmp-2'],
    "service-endpoints": [
      "10.96.0.10 . tcp . 80 . 0 : 10.244.1.2 . 8080",
      "10.96.0.10 . tcp . 80 . 1 : 10.244.2.2 . 8080",
      "10.96.0.10 . udp . 80 . 0 : 10.244.1.2 . 8080",
      "10.96.0.10 . udp . 80 . 1 : 10.244.2.2 . 8080",
    ],
    "nodeport-endpoints": [
      "tcp . 30080 . 0 : 10.244.1.2 . 8080",
      "tcp . 30080 . 1 : 10.244.2.2 . 8080",
      "udp . 30080 . 0 : 10.244.1.2 . 8080",
      "udp . 30080 . 1 : 10.244.2.2 . 8080",
    ],
    "icmp-endpoints": ["10.96.0.10 . 0 : 10.244.1.2", "10.96.0.10 . 1 : 10.244.2.2"],
    "no-endpoint-services": ['10.96.0.20 . tcp . 443 comment "default/idle" : goto reject-chain'],
    "no-endpoint-nodeports": ['tcp . 30443 comment "default/idle" : goto reject-chain'],
    hairpin: ["10.244.1.2 . 10.244.1.2"],
  });
});

test("the ruleset of the example is what testdata/nftables/make.sh gave to nft", () => {
  const golden = readFileSync(new URL("../../testdata/nftables/gateway.nft", import.meta.url), "utf8");
  assert.equal(gatewayRuleset(planGateway(SERVICES, SLICES, OPTIONS)), golden);
});

test("the number of chains and maps does not depend on the number of Services", () => {
  const many = Array.from({ length: 50 }, (_, i) =>
    service(`s${i}`, { clusterIP: `10.96.1.${i}`, ports: [{ port: 80 }] }),
  );
  const declarations = (state: GatewayState): string[] =>
    gatewayRuleset(state)
      .split("\n")
      .filter((line) => !line.startsWith("add element"));
  assert.deepEqual(declarations(planGateway(many, [], OPTIONS)), declarations(planGateway([], [], OPTIONS)));
});

test("a family gets the ClusterIPs and endpoints of its own", () => {
  const dual = service("dual", {
    type: "NodePort",
    clusterIPs: ["10.96.0.30", "fd00:96::30"],
    selector: { app: "dual" },
    ports: [{ port: 80, nodePort: 30030 }],
  });
  const slices = endpointSlicesFor(dual, [pod("p", "node2", "fd00:244:2::2", "dual")]);
  const [v4, v6] = [planGateway([dual], slices, OPTIONS, 4), planGateway([dual], slices, OPTIONS, 6)];
  assert.deepEqual([...v4.elements["no-endpoint-services"].keys()], ["10.96.0.30 . tcp . 80"]);
  assert.deepEqual([...v6.elements["service-ips"].keys()], ["fd00:96::30 . tcp . 80"]);
  assert.deepEqual([...v6.elements["nodeport-endpoints"].values()].map(printElement), [
    "tcp . 30030 . 0 : fd00:244:2::2 . 80",
  ]);
  assert.match(gatewayRuleset(v6), /^add table ip6 podpath-gateway$/m);
});

test("a headless Service has no place in the ruleset", () => {
  assert.deepEqual(elements(planGateway([service("h", { clusterIP: "None" })], [], OPTIONS)), {});
});

test("ready endpoints are used; without any, those that terminate and still serve; others never", () => {
  const [web] = SERVICES.filter(({ metadata }) => metadata.name === "web");
  assert.ok(web);
  const endpoint = (ip: string, conditions: object): object => ({ addresses: [ip], conditions });
  const slice = (...endpoints: object[]) =>
    parseEndpointSlice({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: `s${endpoints.length}`, labels: { "kubernetes.io/service-name": "web" } },
      addressType: "IPv4",
      endpoints,
      ports: [{ name: "tcp", port: 8080 }],
    });
  const ready = endpoint("10.244.1.2", {});
  const terminating = endpoint("10.244.1.3", { ready: false, serving: true, terminating: true });
  const unready = endpoint("10.244.1.4", { ready: false });
  const chosen = (...slices: ReturnType<typeof slice>[]): string[] =>
    [...planGateway([web], slices, OPTIONS).elements["icmp-endpoints"].values()].map(({ value }) => String(value));
  assert.deepEqual(chosen(slice(ready, terminating, unready)), ["10.244.1.2"]);
  assert.deepEqual(chosen(slice(terminating, unready)), ["10.244.1.3"]);
  assert.deepEqual(chosen(slice(unready)), []);
  // The same endpoint in two slices counts once, ready if one says so.
  assert.deepEqual(chosen(slice(ready), slice(ready, unready)), ["10.244.1.2"]);
});

test("of two Services that claim an address or a node port the first by name gets it, and it is said", () => {
  const spec = { type: "NodePort", clusterIP: "10.96.0.40", ports: [{ port: 80, nodePort: 30040 }] };
  const [a, b] = [service("a", spec), service("b", spec)];
  const plan = planGateway([b, a], [], OPTIONS);
  assert.deepEqual(plan.skipped, [
    "default/b: 10.96.0.40 belongs to default/a already",
    "default/b: node port 30040/TCP belongs to default/a already",
  ]);
  assert.deepEqual(
    [...plan.elements["no-endpoint-services"].values()].map(({ comment }) => comment),
    ["default/a"],
  );
});

test("gatewayUpdate() changes what is different, deletions first, and nothing else", () => {
  const state = planGateway(SERVICES, SLICES, OPTIONS);
  assert.equal(gatewayUpdate(state, planGateway(SERVICES, SLICES, OPTIONS)), "");
  const [web] = SLICES;
  assert.ok(web);
  const fewer = planGateway(SERVICES, [{ ...web, endpoints: web.endpoints.slice(1) }], OPTIONS);
  assert.deepEqual(gatewayUpdate(state, fewer).trimEnd().split("\n").slice(0, 2), [
    "delete element ip podpath-gateway service-ips { 10.96.0.10 . tcp . 80, 10.96.0.10 . udp . 80 }",
    "delete element ip podpath-gateway service-nodeports { tcp . 30080, udp . 30080 }",
  ]);
  assert.match(
    gatewayUpdate(state, fewer),
    /\nadd element ip podpath-gateway service-ips \{ 10\.96\.0\.10 \. tcp \. 80 comment "default\/web" : goto service-1, /,
  );
  assert.throws(() => gatewayUpdate(state, planGateway([], [], { ...OPTIONS })), TypeError);
});

test("without cluster CIDRs everything to a ClusterIP is masqueraded, with them what comes from elsewhere", () => {
  const chain = (options: typeof OPTIONS): string | undefined =>
    gatewayRuleset(planGateway([], [], options))
      .split("\n")
      .find((line) => line.startsWith("add rule ip podpath-gateway service-2 "));
  assert.equal(chain({ clusterCidrs: [] }), "add rule ip podpath-gateway service-2 jump mark-for-masquerade");
  const two = [parsePrefix("10.1.0.0/16"), parsePrefix("10.2.0.0/16")];
  assert.equal(
    chain({ clusterCidrs: two }),
    "add rule ip podpath-gateway service-2 ip saddr != { 10.1.0.0/16, 10.2.0.0/16 } jump mark-for-masquerade",
  );
});

const targets = (n: number): Target[] =>
  Array.from({ length: n }, (_, i) => ({ ip: parseIp(`10.244.0.${i}`), port: 80 }));
const share = (slots: readonly Target[]): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const { ip } of slots) counts.set(ip, (counts.get(ip) ?? 0) + 1);
  return counts;
};

test("dealSlots() gives every target its share of a number of slots for which there is a chain", () => {
  assert.deepEqual(dealSlots([], "None"), []);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: MAX_TARGETS }), (n) => {
      const slots = dealSlots(targets(n), "None");
      assert.ok((SLOT_CLASSES as readonly number[]).includes(slots.length));
      const counts = share(slots);
      assert.equal(counts.size, n);
      assert.ok(Math.max(...counts.values()) - Math.min(...counts.values()) <= 1);
    }),
  );
  assert.equal(dealSlots(targets(8), "None").length, 8);
  assert.equal(
    dealSlots(
      Array.from({ length: 300 }, (_, i) => ({ ip: parseIp(`10.1.${i >> 8}.${i & 255}`), port: 1 })),
      "None",
    ).length,
    MAX_TARGETS,
  );
});

test("with affinity a target that goes moves only its own slots", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 16 }), fc.nat(), (n, pick) => {
      const before = dealSlots(targets(n), "ClientIP");
      assert.ok((AFFINITY_SLOT_CLASSES as readonly number[]).includes(before.length));
      const gone = parseIp(`10.244.0.${pick % n}`);
      const after = dealSlots(
        targets(n).filter(({ ip }) => ip !== gone),
        "ClientIP",
      );
      before.forEach(({ ip }, slot) => {
        if (ip !== gone) assert.equal(after[slot]?.ip, ip);
      });
    }),
  );
  assert.equal(share(dealSlots(targets(8), "ClientIP")).size, 8);
});
