import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type AgentProcess, CONFIG_KEY, NETWORK_CONFIG, TestCluster, type TestNode } from "./testing/cluster.ts";

const skip = process.getuid?.() === 0 ? false : "needs root: it makes network namespaces";

/** It ended with an error, said in one line, and the node and the store are as they were. */
async function assertRefused(
  cluster: TestCluster,
  node: TestNode,
  agent: AgentProcess,
  message: RegExp,
): Promise<void> {
  const { code } = await agent.exit;
  assert.equal(code, 1, agent.log());
  const lines = agent
    .log()
    .trimEnd()
    .split("\n")
    .filter((line) => !line.startsWith("{"));
  assert.equal(lines.length, 1, agent.log());
  assert.match(lines[0] ?? "", message);
  assert.equal(node.rtnl.link("flannel.1"), undefined);
  assert.equal(node.run("nft list ruleset"), "");
  assert.equal(existsSync(node.subnetFile), false);
  const { kvs } = await cluster.store.list("/coreos.com/network/subnets/");
  assert.deepEqual(
    kvs.filter((kv) => kv.valueText.includes(node.address)),
    [],
  );
}

describe("podpath agent refuses with one line, and leaves nothing", { skip }, () => {
  for (const [what, config, message] of [
    ["a config that is not JSON", "{Network:", /\/coreos\.com\/network\/config/],
    ["a config without Network", { Backend: { Type: "vxlan" } }, /Network/],
    [
      "an unknown backend",
      { ...NETWORK_CONFIG, Backend: { Type: "pigeon" } },
      /"pigeon".*vxlan.*\/coreos\.com\/network\/config/,
    ],
    [
      "a range that overlaps with the nodes' own network",
      { ...NETWORK_CONFIG, Network: "192.168.0.0/16" },
      /overlap with 192\.168\.100\.11\/24/,
    ],
    ["a range outside the network", { ...NETWORK_CONFIG, SubnetMin: "10.99.0.0" }, /SubnetMin/],
    [
      "an option of ipip's that it cannot have",
      { ...NETWORK_CONFIG, EnableIPv6: true, IPv6Network: "2001:db8:42::/48", Backend: { Type: "ipip" } },
      /ipip.*IPv4 only.*EnableIPv6.*\/coreos\.com\/network\/config/,
    ],
    [
      "a preshared key that is none",
      { ...NETWORK_CONFIG, Backend: { Type: "wireguard", PSK: "sesame" } },
      /PSK is not a WireGuard key.*wg genpsk/,
    ],
    [
      "a start-up command that fails",
      { ...NETWORK_CONFIG, Backend: { Type: "extension", PreStartupCommand: "ls /no/such/folder" } },
      /PreStartupCommand.*status 2.*\/no\/such\/folder/,
    ],
    [
      "a start-up command that fails once there is a lease",
      { ...NETWORK_CONFIG, Backend: { Type: "extension", PostStartupCommand: "ls /no/such/folder" } },
      /PostStartupCommand.*status 2.*\/no\/such\/folder/,
    ],
    ["an option of the wrong type", { ...NETWORK_CONFIG, Backend: { Type: "vxlan", VNI: "one" } }, /VNI/],
  ] as const)
    it(what, async () => {
      await using cluster = await TestCluster.start(config);
      const node = cluster.addNode(1);
      await assertRefused(cluster, node, cluster.startAgent(node), message);
    });

  it("an exhausted range", async () => {
    const range = { SubnetMin: "10.244.7.0", SubnetMax: "10.244.7.0" };
    await using cluster = await TestCluster.start({ ...NETWORK_CONFIG, ...range });
    const taken = '{"PublicIP":"192.0.2.9","PublicIPv6":null,"BackendType":"host-gw"}';
    await cluster.store.put("/coreos.com/network/subnets/10.244.7.0-24", taken);
    const node = cluster.addNode(1);
    await assertRefused(cluster, node, cluster.startAgent(node), /subnet/);
  });

  it("an interface that is not there", async () => {
    await using cluster = await TestCluster.start();
    const node = cluster.addNode(1);
    await assertRefused(cluster, node, cluster.startAgent(node, "--iface", "eth7"), /eth7.*eth0 \(192\.168\.100\.11/);
  });

  it("a public address that another live node has", async () => {
    await using cluster = await TestCluster.start();
    await cluster.startAgent(cluster.addNode(1)).ready;
    const node = cluster.addNode(2);
    const agent = cluster.startAgent(node, "--public-ip", "192.168.100.11", "--iface", "eth0");
    await assertRefused(cluster, node, agent, /192\.168\.100\.11.*node1/);
  });

  it("a missing privilege", async () => {
    await using cluster = await TestCluster.start();
    const node = cluster.addNode(1);
    const drop = ["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"];
    const agent = cluster.startAgentBy(node, "setpriv", drop, "--subnet-file", node.subnetFile);
    await assertRefused(cluster, node, agent, /CAP_NET_ADMIN/);
  });

  it("a VNI that another device has", async () => {
    await using cluster = await TestCluster.start();
    const node = cluster.addNode(1);
    node.run("ip link add other type vxlan id 1 dstport 8472 dev eth0");
    await assertRefused(cluster, node, cluster.startAgent(node), /flannel\.1.*another vxlan device/);
  });

  it("a subnet file it cannot write, after everything else went well", async () => {
    await using cluster = await TestCluster.start();
    const node = cluster.addNode(1);
    const agent = cluster.startAgent(node, "--subnet-file", join(process.execPath, "subnet.env"));
    await assertRefused(cluster, node, agent, /subnet file.*--subnet-file/);
    assert.equal(node.run("sysctl -n net.ipv4.ip_forward"), "0\n");
  });
});

describe("podpath agent waits", { skip }, () => {
  it("for the network config, saying so, and starts when it is there", async () => {
    await using cluster = await TestCluster.start(null);
    const node = cluster.addNode(1);
    const agent = cluster.startAgent(node);
    await agent.logged(CONFIG_KEY);
    await cluster.store.put(CONFIG_KEY, JSON.stringify(NETWORK_CONFIG));
    assert.match((await agent.ready).subnet ?? "", /^10\.244\./);
  });

  it("for the store, saying so, and starts when it is there", async () => {
    await using cluster = await TestCluster.start();
    const node = cluster.addNode(1);
    await cluster.stopStore();
    const agent = cluster.startAgent(node);
    await agent.logged("waiting for the store");
    await cluster.startStore();
    assert.match((await agent.ready).subnet ?? "", /^10\.244\./);
  });

  it("for the network config, and stops with status 0 when told to", async () => {
    await using cluster = await TestCluster.start(null);
    const node = cluster.addNode(1);
    const agent = cluster.startAgent(node);
    await agent.logged(CONFIG_KEY);
    assert.deepEqual(await agent.kill("SIGTERM"), { code: 0, signal: null });
  });
});
