import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import type { JsonObject } from "../../formats/cni/index.ts";
import {
  type Answer,
  cannotMakeNamespaces,
  type Document,
  FakeNode,
  failsWith,
  netnsTest,
  ok,
} from "../testing/fake-node.ts";
import { REFERENCE_FOLDER, reference } from "../testing/reference.ts";

type Call = (node: FakeNode, command: string, pod: string, conf: JsonObject) => Promise<Answer>;
const ours: Call = (node, ...call) => node.call(...call);
const theirs: Call = (node, ...call) => reference(node, ...call);
const skip = existsSync(`${REFERENCE_FOLDER}/firewall`)
  ? cannotMakeNamespaces()
  : "containernetworking-plugins is not installed";

/** Both families' table filter, in order. */
function saved(): string[] {
  return ["iptables-save", "ip6tables-save"].flatMap((program) => {
    const { status, stdout, stderr } = spawnSync(program, ["-t", "filter"], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    return stdout
      .split("\n")
      .filter((line) => /^(-A|:CNI)/.test(line))
      .map((line) => `${program} ${line.replace(/ \[\d+:\d+\]$/, "")}`);
  });
}

const conf = (prevResult: JsonObject, more: JsonObject = {}): JsonObject => ({
  cniVersion: "1.0.0",
  name: "cbr0",
  type: "firewall",
  prevResult,
  ...more,
});

async function podOf(node: FakeNode, pod: string): Promise<Document> {
  node.pod(pod);
  const ranges = [[{ subnet: "10.244.1.0/24" }], [{ subnet: "fd00:10:244:1::/64" }]];
  return ok(
    await node.call(
      "ADD",
      pod,
      node.bridgeConf({ ipam: { type: "host-local", dataDir: node.path("networks"), ranges } }),
    ),
  );
}

for (const more of [{}, { ingressPolicy: "same-bridge" }, { iptablesAdminChainName: "MY-OWN" }])
  test(`firewall's rules are the reference's, one after another: ${JSON.stringify(more)}`, { skip }, async () => {
    const made: string[][] = [];
    for (const call of [theirs, ours]) {
      using node = new FakeNode();
      for (const pod of ["p1", "p2"]) ok(await call(node, "ADD", pod, conf(await podOf(node, pod), more)));
      made.push(saved());
    }
    assert.ok((made[0]?.length ?? 0) >= 14);
    assert.deepEqual(made[1], made[0]);
  });

test("firewall: each deletes what the other added; ours without prevResult and namespace, too", { skip }, async () => {
  for (const [add, del] of [
    [theirs, ours],
    [ours, theirs],
  ] as const) {
    using node = new FakeNode();
    const result = await podOf(node, "p1");
    ok(await add(node, "ADD", "p1", conf(result)));
    ok(await del(node, "DEL", "p1", conf(result)));
    assert.doesNotMatch(saved().join("\n"), /ACCEPT/);
  }
  using node = new FakeNode();
  ok(await node.call("ADD", "p1", conf(await podOf(node, "p1"))));
  const { prevResult: _, ...bare } = conf({});
  for (let i = 0; i < 2; i++) ok(await node.call("DEL", "p1", bare, { CNI_NETNS: "" }));
  assert.doesNotMatch(saved().join("\n"), /ACCEPT/);
});

netnsTest("firewall: CHECK sees what is flushed; GC removes who is not valid", async (node) => {
  const result = await podOf(node, "p1");
  ok(await node.call("ADD", "p1", conf(result)));
  ok(await node.call("CHECK", "p1", conf(result)));
  spawnSync("ip6tables", ["-F", "CNI-FORWARD"]);
  failsWith(await node.call("CHECK", "p1", conf(result)), 999, /ip6tables is missing/);
  ok(await node.call("ADD", "p1", conf(result)));
  ok(await node.call("CHECK", "p1", conf(result)));
  const gc = { ...conf(result), cniVersion: "1.1.0", "cni.dev/valid-attachments": [] };
  ok(await node.call("GC", "p1", gc));
  assert.doesNotMatch(saved().join("\n"), /ACCEPT/);
});

netnsTest("firewall refuses what it does not do", async (node) => {
  for (const [more, code, says] of [
    [{ backend: "firewalld" }, 2, /unsupported backend "firewalld"/],
    [{ backend: "ebtables" }, 7, /unknown backend "ebtables"/],
    [{ ingressPolicy: "closed" }, 7, /unknown ingress policy: "closed"/],
    [{ cniVersion: "0.3.1" }, 1, /incompatible CNI versions/],
  ] as const)
    failsWith(await node.call("ADD", "p1", conf(node.anyResult("p1"), more)), code, says);
});
