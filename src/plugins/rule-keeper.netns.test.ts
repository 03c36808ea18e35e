import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { Host } from "./host.ts";
import { RuleKeeper } from "./rule-keeper.ts";
import { type FakeNode, netnsTest, ok } from "./testing/fake-node.ts";
import { nft } from "./testing/traffic.ts";

async function until(claim: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 200 && !claim(); attempt++) await delay(25);
  assert.ok(claim());
}

/** A pod with a masqueraded address and a host port. */
async function add(node: FakeNode, pod: string, hostPort: number, host: Host): Promise<void> {
  node.pod(pod);
  const conf = node.bridgeConf({ cniVersion: "1.1.0", ipMasq: true, macspoofchk: true });
  const prevResult = ok(await node.call("ADD", pod, conf, {}, host));
  const runtimeConfig = { portMappings: [{ hostPort, containerPort: 80 }] };
  ok(
    await node.call(
      "ADD",
      pod,
      { cniVersion: "1.1.0", name: "cbr0", type: "portmap", runtimeConfig, prevResult },
      {},
      host,
    ),
  );
}

/** Handles and, with them, the order of objects change when rules are made again. */
const ruleset = (): string[] => nft("list", "ruleset").split("\n").sort();

netnsTest("rules that somebody flushed come back while their container lives", async (node) => {
  using host = new Host();
  const lines: string[] = [];
  using keeper = new RuleKeeper(host, { log: (_, line) => lines.push(line) });
  await keeper.pass();
  await add(node, "p1", 8080, host);
  await add(node, "p2", 8081, host);
  const before = ruleset();
  for (const command of [
    ["flush", "ruleset"],
    ["delete", "table", "ip", "cni_hostport"],
    ["flush", "chain", "ip", "cni_hostport", "prerouting"],
    ["flush", "chain", "inet", "cni_plugins_masquerade", "masq_checks"],
    ["delete", "table", "bridge", "nat"],
  ]) {
    nft(...command);
    assert.notDeepEqual(ruleset(), before);
    await until(() => JSON.stringify(ruleset()) === JSON.stringify(before));
  }
  assert.match(lines[0] ?? "", /restored (bridge|portmap) of p[12]/);
  // A container that is gone without a DEL is not served any more.
  node.deletePod("p2");
  nft("flush", "ruleset");
  await until(() => /dport 8080/.test(nft("list", "ruleset")));
  assert.doesNotMatch(nft("list", "ruleset"), /dport 8081|p2/);
  // Nor one that was deleted.
  ok(await node.call("DEL", "p1", node.bridgeConf({ ipMasq: true }), {}, host));
  nft("flush", "ruleset");
  await keeper.pass();
  assert.doesNotMatch(nft("list", "ruleset"), /cni_plugins_masquerade/);
});

netnsTest("an agent that starts makes again what went while none ran", async (node) => {
  {
    using host = new Host();
    await add(node, "p1", 8080, host);
  }
  const before = ruleset();
  nft("flush", "ruleset");
  using host = new Host();
  using keeper = new RuleKeeper(host, { log: () => {} });
  await keeper.pass();
  assert.deepEqual(ruleset(), before);
});

netnsTest("our own changes and others' elsewhere are no reason to look", async (node) => {
  using host = new Host();
  using keeper = new RuleKeeper(host, { log: () => {} });
  await add(node, "p1", 8080, host);
  let looks = 0;
  const { pass } = keeper;
  keeper.pass = async () => {
    looks++;
    await pass.call(keeper);
  };
  await add(node, "p2", 8081, host);
  nft("add", "table", "ip", "foreign");
  await delay(100);
  assert.equal(looks, 0);
  nft("flush", "chain", "ip", "cni_hostport", "hostports");
  await until(() => /dport 8080/.test(nft("list", "ruleset")));
  assert.equal(looks, 1);
});
