import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { parsePrefix } from "../formats/netip/index.ts";
import { IFA_F_NODAD, newAddress, newLink, setLink } from "../formats/netlink/index.ts";
import type { ReadyReport } from "./index.ts";
import { type AgentProcess, TestCluster, type TestNode } from "./testing/cluster.ts";

const skip = process.getuid?.() === 0 ? false : "needs root: it makes network namespaces";
const CONFIG = {
  Network: "10.244.0.0/16",
  EnableIPv6: true,
  IPv6Network: "2001:db8:42::/48",
  Backend: { Type: "vxlan", DirectRouting: true, Learning: true, GBP: true, Port: 4789, VNI: 7, MTU: 1400 },
};

describe("agents with vxlan and all its options", { skip }, () => {
  let cluster: TestCluster;
  let [one, two] = [] as unknown as [TestNode, TestNode];
  let [agentOne, reportTwo] = [] as unknown as [AgentProcess, ReadyReport];

  before(async () => {
    cluster = await TestCluster.start(CONFIG);
    [one, two] = [cluster.addNode(1), cluster.addNode(2)];
    agentOne = cluster.startAgent(one);
    const agentTwo = cluster.startAgent(two);
    [, reportTwo] = await Promise.all([agentOne.ready, agentTwo.ready]);
    // A second interface of node1, in neither its config nor its agent's options.
    one.rtnl.execute(newLink({ name: "eth1", kind: { kind: "veth", peer: { name: "eth1-peer" } }, isUp: true }));
    one.rtnl.execute(setLink({ name: "eth1-peer", isUp: true }));
    const index = one.rtnl.link("eth1")?.index ?? 0;
    one.rtnl.execute([
      newAddress({ index, prefix: parsePrefix("198.51.100.11/24") }),
      newAddress({ index, prefix: parsePrefix("fd00:200::b/64"), flags: IFA_F_NODAD }),
    ]);
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  /** How node1 reaches node2's pods: `<gateway> dev <device>` of both families. */
  const ways = (): string[] =>
    [`ip -j -4 route show ${reportTwo.subnet}`, `ip -j -6 route show ${reportTwo.ipv6Subnet}`]
      .flatMap((command) => one.json(command))
      .map(({ gateway, dev }) => `${gateway} dev ${dev}`);
  const isWay = (...wanted: string[]): boolean => JSON.stringify(ways()) === JSON.stringify(wanted);
  const direct = ["192.168.100.12 dev eth0", "fd00:100::c dev eth0"];
  const tunnel = (): string[] => [
    `${reportTwo.subnet?.split("/")[0]} dev flannel.7`,
    `${reportTwo.ipv6Subnet?.split("/")[0]} dev flannel-v6.7`,
  ];

  it("make the devices as the config says, with the MTU of each family", async () => {
    const data = (name: string): Record<string, unknown> => {
      const [link] = one.json(`ip -j -d link show ${name}`) as [
        { mtu: number; linkinfo: { info_data: Record<string, unknown> } },
      ];
      return { mtu: link.mtu, ...link.linkinfo.info_data };
    };
    for (const [name, mtu] of [
      ["flannel.7", 1350],
      ["flannel-v6.7", 1330],
    ] as const) {
      const { id, port, gbp, learning, ...rest } = data(name);
      assert.deepEqual(
        { id, port, gbp, learning, mtu: rest.mtu },
        { id: 7, port: 4789, gbp: true, learning: true, mtu },
      );
    }
    assert.equal((await agentOne.ready).mtu, 1330);
  });

  it("route straight to a node on the same link", async () => {
    await one.until("direct routes", () => isWay(...direct));
    assert.deepEqual(one.json("ip -j neigh show dev flannel.7 nud permanent"), []);
  });

  it("take to the tunnel when a router comes between, and back, whichever interface it is behind", async () => {
    one.run("ip route add 192.168.100.12/32 via 198.51.100.1 dev eth1");
    await one.until("IPv4 by the tunnel", () => isWay(tunnel()[0] as string, direct[1] as string));
    one.run("ip -6 route add fd00:100::c/128 via fd00:200::1 dev eth1");
    await one.until("both by the tunnel", () => isWay(...tunnel()));
    one.run("ip -6 route del fd00:100::c/128");
    await one.until("IPv6 straight again", () => isWay(tunnel()[0] as string, direct[1] as string));
    // Linux tells of the link, and of none of the IPv4 routes that go with it.
    one.run("ip link set eth1 down");
    await one.until("both straight again", () => isWay(...direct));
    assert.deepEqual(one.json("ip -j neigh show dev flannel.7 nud permanent"), []);
  });
});
