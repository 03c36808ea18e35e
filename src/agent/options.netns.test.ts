import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { CONFIG_KEY, NETWORK_CONFIG, TestCluster, type TestNode } from "./testing/cluster.ts";
import { Flow } from "./testing/flow.ts";

const skip = process.getuid?.() === 0 ? false : "needs root: it makes network namespaces";

describe("the network config and the options of podpath agent", { skip }, () => {
  it("VNI, Port, MTU, GBP, Learning, SubnetLen and DirectRouting are Flannel's", async () => {
    const backend = { Type: "vxlan", VNI: 7, Port: 4789, GBP: true, Learning: true, DirectRouting: true, MTU: 1400 };
    const range = { SubnetLen: 26, SubnetMin: "10.244.4.0", SubnetMax: "10.244.4.192" };
    await using cluster = await TestCluster.start({ ...NETWORK_CONFIG, ...range, Backend: backend });
    const [one, two] = [cluster.addNode(1), cluster.addNode(2)];
    const reports = await Promise.all([cluster.startAgent(one).ready, cluster.startAgent(two).ready]);
    const subnet = reports[1].subnet ?? "";
    assert.match(subnet, /^10\.244\.4\.(0|64|128|192)\/26$/);
    await one.until("the direct route", () => one.rtnl.routes({ protocol: 112 }).length > 0);
    const [route] = one.json(`ip -j route show ${subnet}`);
    assert.deepEqual([route?.gateway, route?.dev, route?.flags], ["192.168.100.12", "eth0", []]);
    const { mtu, id, port, learning, gbp } = vxlan(one, "flannel.7");
    assert.deepEqual([mtu, id, port, learning, gbp], [1350, 7, 4789, true, true]);
    assert.match(readFileSync(one.subnetFile, "utf8"), /^FLANNEL_MTU=1350$/m);
  });

  it("a public IP behind NAT is published, and the device sends from the interface's own address", async () => {
    await using cluster = await TestCluster.start();
    const node = cluster.addNode(1);
    const agent = cluster.startAgent(node, "--public-ip", "198.51.100.7", "--iface", "192.168.100.11");
    assert.deepEqual([(await agent.ready).publicIp, (await agent.ready).interface], ["198.51.100.7", "eth0"]);
    assert.equal(vxlan(node, "flannel.1").local, "192.168.100.11");
  });

  it("both families have their device, their peers and their lines in subnet.env", async () => {
    const ipv6 = { EnableIPv6: true, IPv6Network: "2001:cafe:42::/56" };
    await using cluster = await TestCluster.start({ ...NETWORK_CONFIG, ...ipv6 });
    const [one, two] = [cluster.addNode(1), cluster.addNode(2)];
    const [, peer] = await Promise.all([cluster.startAgent(one).ready, cluster.startAgent(two).ready]);
    await one.until("both routes", () => one.rtnl.routes({ protocol: 112 }).length === 2);
    const gateway = peer.ipv6Subnet?.split("/")[0] ?? "";
    const routes = one.json("ip -j -6 route show dev flannel-v6.1 proto 112");
    assert.deepEqual(
      routes.map((r) => [r.dst, r.gateway, r.flags]),
      [[peer.ipv6Subnet, gateway, ["onlink"]]],
    );
    const { mtu, local6 } = vxlan(one, "flannel-v6.1");
    assert.deepEqual([mtu, local6], [1430, "fd00:100::b"]);
    assert.match(
      readFileSync(one.subnetFile, "utf8"),
      /^FLANNEL_IPV6_SUBNET=2001:cafe:42:.*::1\/64\nFLANNEL_MTU=1430$/m,
    );
    // The inner packets are IPv6, and so are the outer ones.
    await two.until("both routes", () => two.rtnl.routes({ protocol: 112 }).length === 2);
    await using flow = await Flow.open(one.ns, two.ns, gateway);
    await flow.more(10);
  });

  it("an interface is found by what its address matches and by where it leads", async () => {
    await using cluster = await TestCluster.start();
    const [one, two] = [cluster.addNode(1), cluster.addNode(2)];
    // The default route's interface would be eth0.
    for (const node of [one, two]) {
      node.run("ip link add under0 type bridge");
      node.run("ip addr add 192.0.2.5/24 dev under0");
      node.run("ip link set under0 up");
    }
    const agents = [
      cluster.startAgent(one, "--iface-regex", "^192\\.0\\.2\\."),
      cluster.startAgent(two, "--iface-can-reach=192.0.2.77", "--public-ip=192.0.2.6"),
    ];
    const reports = await Promise.all(agents.map((agent) => agent.ready));
    assert.deepEqual(
      reports.map((report) => [report.interface, report.publicIp]),
      [
        ["under0", "192.0.2.5"],
        ["under0", "192.0.2.6"],
      ],
    );
  });

  it("masqueraded packets keep their ports where they can, if asked for", async () => {
    await using cluster = await TestCluster.start();
    const [one, two] = [cluster.addNode(1), cluster.addNode(2)];
    await Promise.all([cluster.startAgent(one, "--ip-masq-fully-random-disable").ready, cluster.startAgent(two).ready]);
    assert.doesNotMatch(one.run("nft list chain ip flannel-ipv4 postrtg"), /random/);
    assert.match(two.run("nft list chain ip flannel-ipv4 postrtg"), /masquerade fully-random/);
  });

  it("--ip-blackhole-route drops what no pod has, from the start on, and only as long as it is asked for", async () => {
    const ipv6 = { EnableIPv6: true, IPv6Network: "2001:cafe:42::/56" };
    await using cluster = await TestCluster.start({ ...NETWORK_CONFIG, ...ipv6 });
    const node = cluster.addNode(1);
    const drops = (): string => ["-4", "-6"].map((f) => node.run(`ip ${f} route show type blackhole`)).join("");
    const first = cluster.startAgent(node, "--ip-blackhole-route");
    const { subnet = "", ipv6Subnet = "" } = await first.ready;
    const dropped = drops();
    assert.match(
      dropped,
      new RegExp(`blackhole ${subnet} proto 112 metric 4278198272 *\nblackhole ${ipv6Subnet} .*proto 112`),
    );
    node.run(`ip route del blackhole ${subnet} metric 4278198272`);
    await node.until("the route to be back", () => drops() === dropped);
    await first.kill("SIGKILL");
    await cluster.startAgent(node).ready;
    assert.equal(drops(), "");
  });

  it("the CNI socket is there when the node is ready, and gone when the agent is", async () => {
    await using cluster = await TestCluster.start();
    const socket = join(cluster.dir, "cni", "cni.sock");
    const agent = cluster.startAgent(cluster.addNode(1), "--cni-socket", socket);
    await agent.ready;
    assert.equal(existsSync(socket), true);
    await agent.kill("SIGTERM");
    assert.equal(existsSync(socket), false);
  });

  it("without masquerade, forward rules and gateway no ruleset is touched", async () => {
    await using cluster = await TestCluster.start();
    const node = cluster.addNode(1);
    const args = ["--ip-masq=false", "--iptables-forward-rules=false", "--gateway=false"];
    await cluster.startAgent(node, ...args).ready;
    assert.equal(node.run("nft list ruleset"), "");
    assert.match(readFileSync(node.subnetFile, "utf8"), /^FLANNEL_IPMASQ=false$/m);
  });

  it("a restart removes the tables that are not wanted any more, and nobody else's", async () => {
    const ipv6 = { EnableIPv6: true, IPv6Network: "2001:cafe:42::/56" };
    await using cluster = await TestCluster.start({ ...NETWORK_CONFIG, ...ipv6 });
    const node = cluster.addNode(1);
    const tables = (): string[] => node.run("nft list tables").trim().split("\n").sort();
    const first = cluster.startAgent(node);
    await first.ready;
    const all = ["table ip flannel-ipv4", "table ip podpath-gateway", "table ip6 flannel-ipv6"];
    await node.untilNft("all tables", () => [...all, "table ip6 podpath-gateway"].every((t) => tables().includes(t)));
    node.run("nft add table ip somebody");
    node.run("nft add table inet podpath-gateway");
    const others = ["table inet podpath-gateway", "table ip somebody"];
    await first.kill("SIGKILL");

    await cluster.store.put(CONFIG_KEY, JSON.stringify(NETWORK_CONFIG));
    const second = cluster.startAgent(node);
    await second.ready;
    assert.deepEqual(tables(), [others[0], "table ip flannel-ipv4", "table ip podpath-gateway", others[1]]);
    await second.kill("SIGKILL");

    const third = cluster.startAgent(node, "--gateway=false");
    await third.ready;
    assert.deepEqual(tables(), [others[0], "table ip flannel-ipv4", others[1]]);
    await third.kill("SIGKILL");

    await cluster.startAgent(node, "--ip-masq=false", "--iptables-forward-rules=false", "--gateway=false").ready;
    assert.deepEqual(tables(), others);
  });
});

/** What `ip -d` tells of a vxlan device. */
function vxlan(node: TestNode, device: string): Record<string, unknown> {
  const [link] = node.json(`ip -j -d link show ${device}`) as { mtu: number; linkinfo: { info_data: object } }[];
  assert.ok(link);
  return { mtu: link.mtu, ...link.linkinfo.info_data };
}
