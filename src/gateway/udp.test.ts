import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIp } from "../formats/netip/index.ts";
import type { ConntrackEntry } from "../formats/netlink/index.ts";
import { type GatewayState, planGateway } from "./index.ts";
import { OPTIONS, SERVICES, SLICES } from "./testing/example.ts";
import { staleUdpFlows } from "./udp.ts";

const LOCAL = parseIp("192.168.100.11");
const UDP = 17;
const isLocal = (ip: string): boolean => ip === LOCAL;

const BOTH = planGateway(SERVICES, SLICES, OPTIONS);
const ONE = planGateway(
  SERVICES,
  SLICES.map((slice) => ({ ...slice, endpoints: slice.endpoints.slice(1) })),
  OPTIONS,
);
const NONE = planGateway(SERVICES, [], OPTIONS);
const NO_SERVICE = planGateway([], [], OPTIONS);

function flow(to: string, port: number, answeredBy: string, answerPort: number, protocol = UDP): ConntrackEntry {
  const client = parseIp("203.0.113.10");
  return {
    family: 4,
    original: { protocol, source: client, destination: parseIp(to), sourcePort: 40000, destinationPort: port },
    reply: {
      protocol,
      source: parseIp(answeredBy),
      destination: client,
      sourcePort: answerPort,
      destinationPort: 40000,
    },
    identity: { original: new Uint8Array(), id: undefined },
  };
}

const VIP_A = flow("10.96.0.10", 80, "10.244.1.2", 8080);
const VIP_C = flow("10.96.0.10", 80, "10.244.2.2", 8080);
const VIP_UNTRANSLATED = flow("10.96.0.10", 80, "10.96.0.10", 80);
const NODE_A = flow(LOCAL, 30080, "10.244.1.2", 8080);
const NODE_UNTRANSLATED = flow(LOCAL, 30080, LOCAL, 30080);
const PASSING = flow("198.51.100.1", 30080, "198.51.100.1", 30080);
const TCP = flow("10.96.0.10", 80, "10.244.1.2", 8080, 6);
const OTHER_PORT = flow("10.96.0.10", 53, "10.96.0.10", 53);
const ALL = { VIP_A, VIP_C, VIP_UNTRANSLATED, NODE_A, NODE_UNTRANSLATED, PASSING, TCP, OTHER_PORT };

const CASES: readonly [string, GatewayState | undefined, GatewayState, (keyof typeof ALL)[]][] = [
  ["an endpoint went", BOTH, ONE, ["VIP_A", "VIP_UNTRANSLATED", "NODE_A", "NODE_UNTRANSLATED"]],
  ["the last endpoint went", ONE, NONE, ["VIP_A", "VIP_C", "VIP_UNTRANSLATED", "NODE_A", "NODE_UNTRANSLATED"]],
  ["the Service went", BOTH, NO_SERVICE, ["VIP_A", "VIP_C", "VIP_UNTRANSLATED", "NODE_A", "NODE_UNTRANSLATED"]],
  [
    "the Service came: what had been sent before has no translation",
    NO_SERVICE,
    BOTH,
    ["VIP_UNTRANSLATED", "NODE_UNTRANSLATED"],
  ],
  ["we have just started", undefined, BOTH, ["VIP_UNTRANSLATED", "NODE_UNTRANSLATED"]],
];

for (const [what, from, to, stale] of CASES) {
  test(`staleUdpFlows(): ${what}`, () => {
    const isStale = staleUdpFlows(from, to, isLocal);
    assert.ok(isStale);
    const found = Object.entries(ALL).filter(([, entry]) => isStale(entry));
    assert.deepEqual(
      found.map(([name]) => name),
      stale,
    );
  });
}

test("staleUdpFlows() wants no listing when no UDP port has changed", () => {
  assert.equal(staleUdpFlows(BOTH, planGateway(SERVICES, SLICES, OPTIONS), isLocal), undefined);
});
