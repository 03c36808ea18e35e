import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
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

  it("is ready only while the node is as it should be, store or no store", async () => {
    await using cluster = await TestCluster.start();
    const [one, two] = [cluster.addNode(1), cluster.addNode(2)];
    const agent = cluster.startAgent(one, "--healthz-port=8081");
    await agent.ready;
    const { subnet } = await cluster.startAgent(two).ready;
    await one.until("the peer", () => one.rtnl.routes({ protocol: 112 }).length === 1);
    assert.equal(ask(one, "/readyz"), "200 flanneld is ready");
    await cluster.stopStore();
    await agent.logged("store: lost");
    assert.equal(ask(one, "/readyz"), "200 flanneld is ready", "a store that is away is no reason");

    one.run("sysctl -q -w net.ipv4.ip_forward=0");
    rmSync(one.subnetFile);
    assert.equal(ask(one, "/readyz"), "503 flanneld is not ready: forwarding of IPv4 is turned off");
    one.run("sysctl -q -w net.ipv4.ip_forward=1");
    assert.match(ask(one, "/readyz"), /^503 flanneld is not ready: the subnet file .* is missing$/);
    one.run("sysctl -q -w net.ipv4.ip_forward=0");
    // The next look, for whatever reason, finds both.
    one.run(`ip route del ${subnet}`);
    await agent.logged("wrote it again");
    await agent.logged("turned it on again");
    assert.equal(ask(one, "/readyz"), "200 flanneld is ready");

    // Somebody else's device with our VNI and port: ours cannot be made again.
    one.run("ip link set flannel.1 down name other");
    await agent.logged("another vxlan device has this VNI and port");
    assert.equal(ask(one, "/readyz"), "503 flanneld is not ready: device flannel.1 is not up");
    assert.equal(ask(one, "/healthz"), "200 flanneld is running");
    one.run("ip link del other");
    await one.until("the device", () => one.rtnl.link("flannel.1")?.isUp === true);
    await one.until("the peer", () => one.rtnl.routes({ protocol: 112 }).length === 1);
    assert.equal(ask(one, "/readyz"), "200 flanneld is ready");
  });

  it("nothing listens without it", async () => {
    await using cluster = await TestCluster.start();
    const node = cluster.addNode(1);
    await cluster.startAgent(node).ready;
    assert.equal(node.run("ss -Hltn"), "");
  });
});

describe("podpath agent under a supervisor", { skip }, () => {
  it("needs no more than the unit's capabilities, and no new privileges", async () => {
    const unit = readFileSync(new URL("../../deploy/podpath-agent.service", import.meta.url), "utf8");
    const names = /^CapabilityBoundingSet=(.*)$/m.exec(unit)?.[1]?.split(" ") ?? [];
    const set = ["-all", ...names.map((name) => `+${name.replace("CAP_", "").toLowerCase()}`)].join(",");
    await using cluster = await TestCluster.start();
    const node = cluster.addNode(1);
    const before = ["--no-new-privs", `--bounding-set=${set}`, `--inh-caps=${set}`];
    const args = [`--subnet-file=${node.subnetFile}`, "--ip-masq", `--cni-socket=${cluster.dir}/cni.sock`];
    const agent = cluster.startAgentBy(node, "setpriv", before, ...args);
    await agent.ready;
    await node.untilNft("the gateway", (nft) => JSON.stringify(nft.list("list tables")).includes("podpath-gateway"));
    const { code, stdout } = await cluster.podpath(node, "status", `--subnet-file=${node.subnetFile}`);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /seen by +the agent/);
  });

  it("tells it when the node is ready, and does its work when that fails", async () => {
    await using cluster = await TestCluster.start();
    process.env.NOTIFY_SOCKET = `${cluster.dir}/nobody`;
    try {
      const agent = cluster.startAgent(cluster.addNode(1));
      await agent.ready;
      await agent.logged("cannot tell the supervisor READY=1");
      assert.deepEqual(await agent.kill("SIGTERM"), { code: 0, signal: null });
      assert.equal(agent.log().split("cannot tell the supervisor").length, 2, "once");
    } finally {
      delete process.env.NOTIFY_SOCKET;
    }
  });
});
