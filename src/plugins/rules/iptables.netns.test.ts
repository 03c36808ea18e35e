// The rules by iptables: the reference's own, chain by chain, so that each deletes what the other added.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { JsonObject } from "../../formats/cni/index.ts";
import { setLink } from "../../formats/netlink/index.ts";
import { Rtnl } from "../../kernel/index.ts";
import { Host } from "../host.ts";
import { RuleKeeper } from "../rule-keeper.ts";
import { type Answer, cannotMakeNamespaces, type Document, FakeNode, failsWith, ok } from "../testing/fake-node.ts";
import { REFERENCE_FOLDER, reference } from "../testing/reference.ts";
import { expectAnswer, serve } from "../testing/traffic.ts";

type Call = (node: FakeNode, command: string, pod: string, conf: JsonObject) => Promise<Answer>;
const ours: Call = (node, ...call) => node.call(...call);
const theirs: Call = (node, ...call) => reference(node, ...call);

const hasIptables = spawnSync("iptables", ["--version"]).status === 0;
const skip = hasIptables ? cannotMakeNamespaces() : "iptables is not installed (apt-get install iptables)";
const skipReference = existsSync(`${REFERENCE_FOLDER}/portmap`) ? skip : "containernetworking-plugins is not installed";

function iptablesTest(name: string, reason: string | false, body: (node: FakeNode) => Promise<void>): void {
  test(name, { skip: reason }, async () => {
    using node = new FakeNode();
    await body(node);
  });
}

/** iptables-save of both families, without counters, comments and empty tables' headers. */
function saved(): string[] {
  return ["iptables-save", "ip6tables-save"].flatMap((program) => {
    const { status, stdout, stderr } = spawnSync(program, ["-t", "nat"], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    return stdout
      .split("\n")
      .filter((line) => /^(-A|:CNI)/.test(line))
      .map((line) => `${program} ${line.replace(/ \[\d+:\d+\]$/, "")}`);
  });
}

function masqConf(node: FakeNode): JsonObject {
  const ranges = [[{ subnet: "10.244.1.0/24" }], [{ subnet: "fd00:10:244:1::/64" }]];
  const ipam = { type: "host-local", dataDir: node.path("networks"), ranges };
  return node.bridgeConf({ ipMasq: true, ipMasqBackend: "iptables", ipam });
}

const MAPPINGS: JsonObject[] = [
  ...Array.from({ length: 17 }, (_, i) => ({ hostPort: 9000 + i, containerPort: 80, protocol: "tcp" })),
  { hostPort: 53, containerPort: 5353, protocol: "udp", hostIP: "192.0.2.1" },
];

function portmapConf(prevResult: JsonObject, more: JsonObject = {}): JsonObject {
  const runtimeConfig = { portMappings: MAPPINGS };
  return {
    cniVersion: "1.0.0",
    name: "cbr0",
    type: "portmap",
    backend: "iptables",
    runtimeConfig,
    prevResult,
    ...more,
  };
}

async function add(node: FakeNode, call: Call, pod: string, more: JsonObject = {}): Promise<Document> {
  node.pod(pod);
  const prevResult = ok(await call(node, "ADD", pod, masqConf(node)));
  return ok(await call(node, "ADD", pod, portmapConf(prevResult, more)));
}

async function del(node: FakeNode, call: Call, pod: string, prevResult: JsonObject): Promise<void> {
  ok(await call(node, "DEL", pod, portmapConf(prevResult)));
  ok(await call(node, "DEL", pod, { ...masqConf(node), prevResult }));
}

iptablesTest("ipMasq and portmap by iptables are rule for rule the reference's", skipReference, async () => {
  const made: string[][] = [];
  for (const call of [theirs, ours]) {
    using node = new FakeNode();
    await add(node, call, "p1");
    made.push(saved());
  }
  assert.ok((made[0]?.length ?? 0) > 60);
  assert.deepEqual(made[1]?.sort(), made[0]?.sort());
});

for (const [what, adds, dels] of [
  ["ours", ours, ours],
  ["the reference deletes what we added", ours, theirs],
  ["we delete what the reference added", theirs, ours],
] as const)
  iptablesTest(`DEL leaves no rule of the container, and all of another's: ${what}`, skipReference, async (node) => {
    const none = { runtimeConfig: { portMappings: [{ hostPort: 7777, containerPort: 80, protocol: "tcp" }] } };
    const other = await add(node, adds, "p2", none);
    const before = saved();
    const result = await add(node, adds, "p1");
    assert.notDeepEqual(saved(), before);
    await del(node, dels, "p1", result);
    assert.deepEqual(saved(), before);
    await del(node, dels, "p2", other);
    assert.doesNotMatch(saved().join("\n"), /CNI-DN|CNI-[0-9a-f]{24}/);
    assert.deepEqual(node.reserved(), []);
  });

iptablesTest("host ports answer, CHECK sees what is flushed, DEL does not mind, twice", skip, async (node) => {
  const result = await add(node, ours, "p1");
  using _server = serve(node.path("netns/p1"), 80, "hello");
  using rtnl = Rtnl.open();
  rtnl.execute(setLink({ name: "lo", isUp: true }));
  await expectAnswer(undefined, "127.0.0.1", 9003, "hello");
  await expectAnswer(undefined, "10.244.1.1", 9016, "hello");
  ok(await node.call("CHECK", "p1", portmapConf(result)));
  ok(await node.call("CHECK", "p1", { ...masqConf(node), prevResult: result }));
  spawnSync("iptables", ["-t", "nat", "-F"]);
  failsWith(await node.call("CHECK", "p1", portmapConf(result)), 999, /is missing/);
  failsWith(await node.call("CHECK", "p1", { ...masqConf(node), prevResult: result }), 999, /is missing/);
  for (let i = 0; i < 2; i++) await del(node, ours, "p1", result);
  assert.doesNotMatch(saved().join("\n"), /CNI-DN|CNI-[0-9a-f]{24}/);
});

iptablesTest("DEL without a namespace leaves no chain behind", skip, async (node) => {
  await add(node, ours, "p1");
  ok(await node.call("DEL", "p1", portmapConf({ cniVersion: "1.0.0" }), { CNI_NETNS: "" }));
  ok(await node.call("DEL", "p1", masqConf(node), { CNI_NETNS: "" }));
  assert.doesNotMatch(saved().join("\n"), /CNI-DN|CNI-[0-9a-f]{24}/);
  assert.deepEqual(readdirSync("/run/podpath/cni"), [".iptables.lock"]);
});

iptablesTest("20 at once lose no rule of another", skip, async (node) => {
  const pods = Array.from({ length: 20 }, (_, i) => `p${i}`);
  const mapping = (i: number): JsonObject => ({
    runtimeConfig: { portMappings: [{ hostPort: 1000 + i, containerPort: 80 }] },
  });
  await Promise.all(pods.map((pod, i) => add(node, ours, pod, mapping(i))));
  const lines = saved().filter((line) => line.startsWith("iptables-save -A"));
  assert.equal(lines.filter((line) => /-A CNI-HOSTPORT-DNAT/.test(line)).length, 20);
  assert.equal(lines.filter((line) => /-A POSTROUTING -s/.test(line)).length, 20);
  assert.equal(lines.filter((line) => /-A PREROUTING/.test(line)).length, 1);
});

iptablesTest("rules that iptables -F took away come back", skip, async (node) => {
  using host = new Host();
  using keeper = new RuleKeeper(host, { log: () => {} });
  node.pod("p1");
  const prevResult = ok(await node.call("ADD", "p1", masqConf(node), {}, host));
  ok(await node.call("ADD", "p1", portmapConf(prevResult), {}, host));
  await keeper.pass();
  const before = saved().sort();
  spawnSync("iptables", ["-t", "nat", "-F"]);
  for (let i = 0; i < 100 && JSON.stringify(saved().sort()) !== JSON.stringify(before); i++) await delay(50);
  assert.deepEqual(saved().sort(), before);
});

iptablesTest(
  "what only iptables has chooses iptables; marks and conditions are the reference's",
  skip,
  async (node) => {
    const { backend: _, ...bare } = portmapConf({});
    const more = { ...bare, markMasqBit: 5, conditionsV4: ["!", "-d", "192.0.2.0/24"] };
    node.pod("p1");
    const prevResult = ok(await node.call("ADD", "p1", masqConf(node)));
    ok(await node.call("ADD", "p1", { ...more, prevResult }));
    const rules = saved().join("\n");
    assert.match(rules, /-A CNI-HOSTPORT-SETMARK .* --set-xmark 0x20\/0x20/);
    assert.match(rules, /-A CNI-HOSTPORT-DNAT ! -d 192\.0\.2\.0\/24 -p tcp/);
    ok(await node.call("CHECK", "p1", { ...more, prevResult }));
  },
);
