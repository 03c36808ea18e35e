import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { parseIp, parsePrefix } from "../formats/netip/index.ts";
import {
  deleteRoute,
  IFA_F_NODAD,
  newAddress,
  newLink,
  newRoute,
  RT_SCOPE_LINK,
  setLink,
} from "../formats/netlink/index.ts";
import { createUnnamedNetNs, type NetNs, Rtnl, writeSysctl } from "../kernel/index.ts";
import type { ReadyReport } from "./index.ts";
import { type AgentProcess, TestCluster, type TestNode } from "./testing/cluster.ts";
import { Flow } from "./testing/flow.ts";

const skip = process.getuid?.() === 0 ? false : "needs root: it makes network namespaces";
// include/uapi/linux/if_addr.h
const IFA_F_TENTATIVE = 0x40;
const CONFIG = {
  Network: "10.244.0.0/16",
  EnableIPv6: true,
  IPv6Network: "2001:db8:42::/48",
  Backend: { Type: "host-gw" },
};

/** `<subnet> via <public address> dev eth0` of both families, as `ip route` has them with our protocol. */
function routes(node: TestNode): string[] {
  return ["ip -j -4 route show proto 112", "ip -j -6 route show proto 112"]
    .flatMap((command) => node.json(command))
    .map(({ dst, gateway, dev }) => `${dst} via ${gateway} dev ${dev}`)
    .sort();
}

function routesTo(...peers: [TestNode, ReadyReport][]): string[] {
  return peers
    .flatMap(([{ address }, { subnet, ipv6Subnet }]) => {
      const last = Number(address.split(".")[3]).toString(16);
      return [`${subnet} via ${address} dev eth0`, `${ipv6Subnet} via fd00:100::${last} dev eth0`];
    })
    .sort();
}

/** The wanted routes and no others. */
function hasRoutes(node: TestNode, ...peers: [TestNode, ReadyReport][]): boolean {
  return JSON.stringify(routes(node)) === JSON.stringify(routesTo(...peers));
}

interface TestPod extends Disposable {
  readonly ns: NetNs;
  readonly addresses: readonly [v4: string, v6: string];
}

/** A namespace behind the node, with the second address of the node's subnets and a route by the first. */
function addPod(node: TestNode, { subnet = "", ipv6Subnet = "" }: ReadyReport): TestPod {
  const ns = createUnnamedNetNs();
  using rtnl = Rtnl.open(ns);
  const peer = { name: "eth0", netnsFd: ns.fd };
  // A link-local address that is still being asked about asks for no neighbour: a packet that comes early would be lost.
  for (const end of [node.ns, ns]) writeSysctl("net/ipv6/conf/default/accept_dad", 0, end);
  node.rtnl.execute(newLink({ name: "pod", kind: { kind: "veth", peer }, isUp: true }));
  const [ends, length] = [[node.rtnl, rtnl] as const, { 4: 24, 6: 64 }];
  const at = (n: number): [string, string] => [subnet.replace(".0/24", `.${n}`), ipv6Subnet.replace("::/64", `::${n}`)];
  rtnl.execute([setLink({ name: "lo", isUp: true }), setLink({ name: "eth0", isUp: true })]);
  ends.forEach((end, i) => {
    const index = end.link(i === 0 ? "pod" : "eth0")?.index ?? 0;
    const [v4, v6] = at(i + 1);
    end.execute([
      newAddress({ index, prefix: parsePrefix(`${v4}/${length[4]}`) }),
      newAddress({ index, prefix: parsePrefix(`${v6}/${length[6]}`), flags: IFA_F_NODAD }),
    ]);
  });
  const [v4, v6] = at(1);
  const oif = rtnl.link("eth0")?.index ?? 0;
  rtnl.execute([
    newRoute({ family: 4, gateway: parseIp(v4), oif }),
    newRoute({ family: 6, gateway: parseIp(v6), oif }),
  ]);
  return { ns, addresses: at(2), [Symbol.dispose]: () => ns.close() };
}

describe("agents with the host-gw backend", { skip }, () => {
  let cluster: TestCluster;
  let [one, two] = [] as unknown as [TestNode, TestNode];
  let [agentOne, agentTwo] = [] as unknown as [AgentProcess, AgentProcess];
  let [reportOne, reportTwo] = [] as unknown as [ReadyReport, ReadyReport];

  before(async () => {
    cluster = await TestCluster.start(CONFIG);
    [one, two] = [cluster.addNode(1), cluster.addNode(2)];
    [agentOne, agentTwo] = [cluster.startAgent(one), cluster.startAgent(two)];
    [reportOne, reportTwo] = await Promise.all([agentOne.ready, agentTwo.ready]);
    await one.until("node2", () => hasRoutes(one, [two, reportTwo]));
    await two.until("node1", () => hasRoutes(two, [one, reportOne]));
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  it("publish Flannel's lease, leave pods the whole MTU and make no device", async () => {
    const [v4, v6] = [reportOne.subnet ?? "", reportOne.ipv6Subnet ?? ""];
    const key = `/coreos.com/network/subnets/${v4.replace("/", "-")}&${v6.replace("/", "-")}`;
    assert.equal(
      (await cluster.store.get(key))?.valueText,
      '{"PublicIP":"192.168.100.11","PublicIPv6":"fd00:100::b","BackendType":"host-gw"}',
    );
    assert.match(readFileSync(one.subnetFile, "utf8"), /^FLANNEL_MTU=1500$/m);
    assert.deepEqual(
      one.rtnl.links().map(({ name }) => name),
      ["lo", "eth0"],
    );
  });

  it("carry TCP between pods of two nodes, in both families", async () => {
    for (const node of [one, two])
      await node.until("a link-local address to ask neighbours by", () =>
        node.rtnl.addresses().some(({ scope, flags }) => scope === RT_SCOPE_LINK && !(flags & IFA_F_TENTATIVE)),
      );
    using from = addPod(one, reportOne);
    using to = addPod(two, reportTwo);
    for (const address of to.addresses) {
      await using flow = await Flow.open(from.ns, to.ns, address);
      await flow.more(20);
      assert.equal(flow.retransmissions(), 0, address);
    }
  });

  it("repair a route that somebody deletes, and all of them after the interface was down", async () => {
    one.rtnl.execute(deleteRoute({ family: 4, dst: parsePrefix(reportTwo.subnet ?? "") }));
    await one.until("the IPv4 route again", () => hasRoutes(one, [two, reportTwo]));
    one.rtnl.execute(deleteRoute({ family: 6, dst: parsePrefix(reportTwo.ipv6Subnet ?? "") }));
    await one.until("the IPv6 route again", () => hasRoutes(one, [two, reportTwo]));
    // With the link go the IPv6 address and the default route, which no one but their owner can put back.
    one.run("ip link set eth0 down");
    one.run("ip link set eth0 up");
    one.run("ip route add default via 192.168.100.1");
    one.run("ip -6 addr replace fd00:100::b/64 dev eth0 nodad");
    await one.until("all routes again", () => hasRoutes(one, [two, reportTwo]));
  });

  it("leave a foreign route in the way alone, name it, and route again when it is gone", async () => {
    const command = `ip route replace ${reportTwo.subnet} via 192.168.100.99 proto static`;
    one.run(command);
    await agentOne.logged("is somebody else's and leads elsewhere");
    assert.match(one.run(`ip route show ${reportTwo.subnet}`), /via 192\.168\.100\.99 dev eth0 proto static/);
    const { conflicts } = (await agentOne.status()).datapath;
    assert.ok(conflicts.some(({ why }) => why.includes(`ip route del ${reportTwo.subnet} proto 4`)));
    one.run(`ip route del ${reportTwo.subnet} proto static`);
    await one.until("our route again", () => hasRoutes(one, [two, reportTwo]));
  });

  it("take in a third, forget it when its lease goes, and ignore one of another backend", async () => {
    const three = cluster.addNode(3);
    const agentThree = cluster.startAgent(three);
    const reportThree = await agentThree.ready;
    assert.ok(hasRoutes(three, [one, reportOne], [two, reportTwo]), "a ready node knows every peer");
    await one.until("node3", () => hasRoutes(one, [two, reportTwo], [three, reportThree]));
    await two.until("node3", () => hasRoutes(two, [one, reportOne], [three, reportThree]));
    await agentThree.kill("SIGTERM");
    const key = `${reportThree.subnet}&${reportThree.ipv6Subnet}`.replaceAll("/", "-");
    assert.ok(await cluster.store.delete(`/coreos.com/network/subnets/${key}`));
    const other = '{"PublicIP":"192.168.100.50","PublicIPv6":"fd00:100::32","BackendType":"ipip"}';
    await cluster.store.put("/coreos.com/network/subnets/10.244.250.0-24&2001:db8:42:fa::-64", other);
    await one.until("node3 gone", () => hasRoutes(one, [two, reportTwo]));
    await two.until("node3 gone", () => hasRoutes(two, [one, reportOne]));
    await agentOne.logged('10.244.250.0/24 2001:db8:42:fa::/64: its backend is \\"ipip\\", not host-gw');
    assert.ok(hasRoutes(one, [two, reportTwo]));
  });

  it("find everything as it should be after a restart, and leave it when they stop", async () => {
    const before = one.run("ip route") + one.run("ip -6 route");
    await agentOne.kill("SIGKILL");
    agentOne = cluster.startAgent(one);
    await agentOne.ready;
    assert.equal((await agentOne.status()).datapath.changes, 0);
    assert.deepEqual(await agentOne.kill("SIGTERM"), { code: 0, signal: null });
    assert.equal(one.run("ip route") + one.run("ip -6 route"), before);
  });

  it("refuse a public address that the interface does not have, before they take a lease", async () => {
    const four = cluster.addNode(4);
    const agent = cluster.startAgent(four, "--public-ip", "198.51.100.7", "--iface", "eth0");
    assert.deepEqual(await agent.exit, { code: 1, signal: null });
    assert.match(agent.log(), /198\.51\.100\.7 is not 192\.168\.100\.14.*NAT/);
    const { kvs } = await cluster.store.list("/coreos.com/network/subnets/");
    assert.ok(!kvs.some(({ valueText }) => valueText.includes("198.51.100.7")));
  });
});
