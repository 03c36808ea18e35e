import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { parsePrefix } from "../formats/netip/index.ts";
import { deleteLink, deleteRoute, newAddress, newLink, setLink } from "../formats/netlink/index.ts";
import type { ReadyReport } from "./index.ts";
import { type AgentProcess, TestCluster, type TestNode } from "./testing/cluster.ts";
import { Flow } from "./testing/flow.ts";

const skip = process.getuid?.() === 0 ? false : "needs root: it makes network namespaces";

/** Whether the node's kernel has all of the peer: route, neighbour and FDB entry. */
function reaches(node: TestNode, peer: ReadyReport): boolean {
  const gateway = peer.subnet?.split("/")[0];
  const flannel = node.rtnl.link("flannel.1")?.index;
  const isRoute = node.rtnl
    .routes({ protocol: 112 })
    .some((r) => r.gateway === gateway && r.oif === flannel && r.onlink);
  const neighbour = node.rtnl.neighbours().find((n) => n.index === flannel && n.address === gateway);
  const fdb = node.rtnl.fdb(flannel).find((f) => f.lladdr === neighbour?.lladdr);
  return isRoute && neighbour !== undefined && fdb?.dst === peer.publicIp;
}

function knowsNothingOf(node: TestNode, peer: ReadyReport, mac: string): boolean {
  const gateway = peer.subnet?.split("/")[0];
  return (
    !node.rtnl.routes({ protocol: 112 }).some((r) => r.gateway === gateway) &&
    !node.rtnl.neighbours().some((n) => n.address === gateway) &&
    !node.rtnl.fdb().some((f) => f.lladdr === mac)
  );
}

function macOf(node: TestNode): string {
  const mac = node.rtnl.link("flannel.1")?.address;
  assert.ok(mac);
  return mac;
}

/** An address of the node's subnet on a device of its own, as a pod's would be. */
function addPodAddress(node: TestNode, report: ReadyReport): string {
  const address = report.subnet?.replace(/\.0\/24$/, ".1") ?? "";
  node.rtnl.execute(newLink({ name: "pod", kind: { kind: "veth", peer: { name: "pod-end" } }, isUp: true }));
  node.rtnl.execute([
    newAddress({ index: node.rtnl.link("pod")?.index ?? 0, prefix: parsePrefix(`${address}/32`) }),
    setLink({ name: "pod-end", isUp: true }),
  ]);
  return address;
}

describe("agents of one cluster", { skip }, () => {
  let cluster: TestCluster;
  let [one, two] = [] as unknown as [TestNode, TestNode];
  let [agentOne, agentTwo] = [] as unknown as [AgentProcess, AgentProcess];
  let [reportOne, reportTwo] = [] as unknown as [ReadyReport, ReadyReport];

  before(async () => {
    cluster = await TestCluster.start();
    [one, two] = [cluster.addNode(1), cluster.addNode(2)];
    [agentOne, agentTwo] = [cluster.startAgent(one), cluster.startAgent(two)];
    [reportOne, reportTwo] = await Promise.all([agentOne.ready, agentTwo.ready]);
    await one.until("node2", () => reaches(one, reportTwo));
    await two.until("node1", () => reaches(two, reportOne));
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  it("have the kernel state that Flannel makes", () => {
    const subnet = reportOne.subnet?.split("/")[0];
    const [device] = one.json("ip -j -d link show flannel.1");
    const { linkinfo, ...link } = device as { linkinfo: { info_kind: string; info_data: Record<string, unknown> } };
    assert.deepEqual(pick(link, "mtu", "qdisc", "operstate", "link_type"), {
      mtu: 1450,
      qdisc: "noqueue",
      operstate: "UNKNOWN",
      link_type: "ether",
    });
    assert.equal(linkinfo.info_kind, "vxlan");
    assert.deepEqual(
      pick(linkinfo.info_data, "id", "local", "link", "port", "learning", "udp_csum", "ttl", "ageing", "port_range"),
      {
        id: 1,
        local: "192.168.100.11",
        link: "eth0",
        port: 8472,
        learning: false,
        udp_csum: false,
        ttl: 0,
        ageing: 300,
        port_range: { low: 0, high: 0 },
      },
    );
    const [{ addr_info } = {}] = one.json("ip -j -4 addr show dev flannel.1") as { addr_info?: object[] }[];
    assert.deepEqual(
      addr_info?.map((a) => pick(a, "local", "prefixlen", "scope")),
      [{ local: subnet, prefixlen: 32, scope: "global" }],
    );
    const peer = reportTwo.subnet?.split("/")[0];
    assert.deepEqual(one.json("ip -j route show dev flannel.1"), [
      { dst: reportTwo.subnet, gateway: peer, protocol: "112", flags: ["onlink"] },
    ]);
    assert.deepEqual(one.json("ip -j neigh show dev flannel.1"), [
      { dst: peer, lladdr: macOf(two), state: ["PERMANENT"] },
    ]);
    assert.deepEqual(
      one.json("bridge -j fdb show dev flannel.1").map((f) => pick(f, "mac", "dst", "flags", "state")),
      [{ mac: macOf(two), dst: "192.168.100.12", flags: ["self"], state: "permanent" }],
    );
    assert.equal(one.run("sysctl -n net.ipv4.ip_forward net/ipv6/conf/flannel.1/accept_ra"), "1\n0\n");
    assert.match(one.run("nft list table ip flannel-ipv4"), /chain postrtg.*masquerade.*chain forward/s);
  });

  it("write subnet.env and a lease as Flannel does", async () => {
    const gateway = reportOne.subnet?.replace(".0/24", ".1/24");
    assert.equal(
      readFileSync(one.subnetFile, "utf8"),
      `FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=${gateway}\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n`,
    );
    const key = `/coreos.com/network/subnets/${reportOne.subnet?.replace("/", "-")}`;
    const lease = await cluster.store.get(key);
    assert.equal(
      lease?.valueText,
      `{"PublicIP":"192.168.100.11","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"${macOf(one)}"}}`,
    );
    assert.notEqual(lease?.lease, 0n);
  });

  it("repair what somebody deletes: a route, a neighbour, an FDB entry, the address, the device", async () => {
    const mac = macOf(one);
    const [dst, peerMac] = [parsePrefix(reportTwo.subnet ?? ""), macOf(two)];
    one.rtnl.execute(deleteRoute({ family: 4, dst }));
    await one.until("the route again", () => reaches(one, reportTwo));
    one.run(`ip neigh del ${dst.address} dev flannel.1`);
    await one.until("the neighbour again", () => reaches(one, reportTwo));
    one.run(`bridge fdb del ${peerMac} dev flannel.1`);
    await one.until("the FDB entry again", () => reaches(one, reportTwo));
    // Taking the last address takes every route of the device with it.
    one.run("ip addr flush dev flannel.1");
    const own = reportOne.subnet?.split("/")[0];
    await one.until(
      "the address again",
      () => one.rtnl.addresses().some((a) => a.prefix.address === own) && reaches(one, reportTwo),
    );
    one.run("ip link set flannel.1 down");
    await one.until("the device up again", () => one.rtnl.link("flannel.1")?.isUp === true && reaches(one, reportTwo));
    one.run("ip link set flannel.1 address 02:00:00:00:00:99 mtu 1300");
    await one.until("its MAC and MTU again", () => macOf(one) === mac && one.rtnl.link("flannel.1")?.mtu === 1450);
    const before = one.rtnl.link("flannel.1")?.index;
    await one.rtnl.executeAsync(deleteLink({ name: "flannel.1" }));
    await one.until("the device again, with all peers", () => reaches(one, reportTwo));
    assert.notEqual(one.rtnl.link("flannel.1")?.index, before);
    assert.equal(macOf(one), mac);
    assert.match(agentOne.log(), /kernel state brought up to date/);
  });

  it("restore the masquerade and forward rules when somebody flushes the ruleset", async () => {
    one.run("nft flush ruleset");
    await one.untilNft("Flannel's table", (nft) => JSON.stringify(nft.list("list tables")).includes("flannel-ipv4"));
    assert.match(one.run("nft list table ip flannel-ipv4"), /chain postrtg.*masquerade.*chain forward/s);
  });

  it("converge with one that joins later, and forget it when its lease goes", async () => {
    const three = cluster.addNode(3);
    const agentThree = cluster.startAgent(three);
    const reportThree = await agentThree.ready;
    assert.ok(reaches(three, reportOne) && reaches(three, reportTwo), "a ready node knows every peer");
    for (const node of [one, two]) await node.until("node3", () => reaches(node, reportThree));
    const mac = macOf(three);
    assert.deepEqual(await agentThree.kill("SIGTERM"), { code: 0, signal: null });
    assert.ok(reaches(three, reportOne), "the datapath of a stopped agent stays");
    assert.ok(await cluster.store.delete(`/coreos.com/network/subnets/${reportThree.subnet?.replace("/", "-")}`));
    for (const node of [one, two]) await node.until("node3 gone", () => knowsNothingOf(node, reportThree, mac));
    assert.ok(reaches(one, reportTwo) && reaches(two, reportOne));
  });

  it("lose no packet of an established flow when one is killed and started again, and take over all there is", async () => {
    addPodAddress(one, reportOne);
    await using flow = await Flow.open(one.ns, two.ns, addPodAddress(two, reportTwo));
    const before = {
      mac: macOf(one),
      index: one.rtnl.link("flannel.1")?.index,
      env: readFileSync(one.subnetFile, "utf8"),
    };
    await flow.more(50);
    await agentOne.kill("SIGKILL");
    await flow.more(50);
    agentOne = cluster.startAgent(one);
    const report = await agentOne.ready;
    await flow.more(50);
    assert.equal(flow.retransmissions(), 0);
    assert.equal(report.subnet, reportOne.subnet);
    const now = {
      mac: macOf(one),
      index: one.rtnl.link("flannel.1")?.index,
      env: readFileSync(one.subnetFile, "utf8"),
    };
    assert.deepEqual(now, before);
    assert.equal((await agentOne.status()).datapath.changes, 0, "a restart finds everything as it should be");
  });

  it("remove at the start what went while they were down, Flannel's leftovers too", async () => {
    await agentOne.kill("SIGKILL");
    one.run("ip route add 10.244.200.0/24 via 10.244.200.0 dev flannel.1 onlink");
    one.run("ip neigh add 10.244.200.0 lladdr 02:00:00:00:02:00 dev flannel.1 nud permanent");
    one.run("bridge fdb add 02:00:00:00:02:00 dev flannel.1 dst 192.168.100.200");
    one.run("ip route add 10.99.0.0/24 via 192.168.100.99");
    agentOne = cluster.startAgent(one);
    await agentOne.ready;
    assert.equal(one.run("ip route show 10.244.200.0/24") + one.run("ip neigh show 10.244.200.0"), "");
    assert.ok(!one.run("bridge fdb show dev flannel.1").includes("02:00:00:00:02:00"));
    assert.match(one.run("ip route show 10.99.0.0/24"), /192\.168\.100\.99/);
    assert.ok(reaches(one, reportTwo));
  });

  it("keep everything while the store is away, and follow it when it is back", async () => {
    await cluster.stopStore();
    one.run(`ip route del ${reportTwo.subnet}`);
    await one.until("the route again, without a store", () => reaches(one, reportTwo));
    await cluster.startStore();
    const four = cluster.addNode(4);
    const agentFour = cluster.startAgent(four);
    const reportFour = await agentFour.ready;
    for (const node of [one, two]) await node.until("node4", () => reaches(node, reportFour));
    assert.ok(reaches(one, reportTwo) && reaches(two, reportOne));
    await agentFour.kill("SIGTERM");
  });

  it("stop with status 0 on SIGINT and leave the network as it is", async () => {
    const before = [one.run("ip -d link show flannel.1"), one.run("ip route"), one.run("nft list ruleset")];
    assert.deepEqual(await agentOne.kill("SIGINT"), { code: 0, signal: null });
    assert.deepEqual([one.run("ip -d link show flannel.1"), one.run("ip route"), one.run("nft list ruleset")], before);
    assert.ok(existsSync(one.subnetFile));
    assert.ok(!agentOne.log().includes('"level":50'), agentOne.log());
  });
});

function pick(from: object, ...keys: string[]): Record<string, unknown> {
  return Object.fromEntries(keys.map((key) => [key, (from as Record<string, unknown>)[key]]));
}
