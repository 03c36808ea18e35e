import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CONFIG_KEY, NETWORK_CONFIG, TestCluster, type TestNode } from "./testing/cluster.ts";

const skip = process.getuid?.() === 0 ? false : "needs root: it makes network namespaces";

/** `200 flanneld is running`, asked from inside the node. No spaces: run() splits at them. */
const ASK = "fetch(process.argv[1]).then(async(r)=>console.log(r.status+String.fromCharCode(32)+(await(r.text()))))";

function ask(node: TestNode, path: string): string {
  return node.run(`${process.execPath} -e ${ASK} http://127.0.0.1:8081${path}`).trimEnd();
}

describe("podpath agent --healthz-port", { skip }, () => {
  it("is alive while it waits for a network config, and ready once the node is", async () => {
    await using cluster = await TestCluster.start(null);
    const [one, two] = [cluster.addNode(1), cluster.addNode(2)];
    const agent = cluster.startAgent(one, "--healthz-port=8081");
    await agent.logged(CONFIG_KEY);
    assert.equal(ask(one, "/healthz"), "200 flanneld is running");
    assert.equal(ask(one, "/readyz"), "503 flanneld is not ready: the node is starting");
    assert.match(ask(one, "/metrics"), /^podpath_ready 0$/m);
    await cluster.store.put(CONFIG_KEY, JSON.stringify(NETWORK_CONFIG));
    await agent.ready;
    assert.equal(ask(one, "/readyz"), "200 flanneld is ready");
    assert.match(ask(one, "/metrics"), /^podpath_peers 0$/m);

    const { subnet } = await cluster.startAgent(two).ready;
    await one.until("the peer", () => one.rtnl.routes({ protocol: 112 }).length === 1);
    one.run(`ip route del ${subnet}`);
    await one.until("the route again", () => one.rtnl.routes({ protocol: 112 }).length === 1);
    one.run("nft flush ruleset");
    await one.untilNft("the rules", (nft) => JSON.stringify(nft.list("list tables")).includes("flannel-ipv4"));
    const metrics = ask(one, "/metrics").split("\n");
    for (const line of [
      "podpath_ready 1",
      "podpath_peers 1",
      "podpath_store_connected 1",
      "podpath_leases_skipped_total 0",
      'podpath_kernel_changes_total{change="replace-route",cause="leases"} 1',
      'podpath_kernel_changes_total{change="replace-route",cause="drift"} 1',
      "podpath_masquerade_restored_total 1",
    ])
      assert.ok(metrics.includes(line), `${line}\n${metrics.join("\n")}`);
    assert.deepEqual(await agent.kill("SIGTERM"), { code: 0, signal: null });
  });

  it("nothing listens without it", async () => {
    await using cluster = await TestCluster.start();
    const node = cluster.addNode(1);
    await cluster.startAgent(node).ready;
    assert.equal(node.run("ss -Hltn"), "");
  });
});

describe("podpath agent under a supervisor", { skip }, () => {
  it("tells it when the node is ready, and does its work when that fails", async () => {
    await using cluster = await TestCluster.start();
    process.env.NOTIFY_SOCKET = `${cluster.dir}/nobody`;
    try {
      const agent = cluster.startAgent(cluster.addNode(1));
      await agent.ready;
      await agent.logged("cannot tell the supervisor READY=1");
      assert.deepEqual(await agent.kill("SIGTERM"), { code: 0, signal: null });
      assert.match(agent.log(), /cannot tell the supervisor STOPPING=1/);
    } finally {
      delete process.env.NOTIFY_SOCKET;
    }
  });
});
