// The backends whose devices not every kernel has; where they are missing: npm run test:other-kernel -- dist/agent/tunnels.netns.test.js
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parseSubnetEnv } from "../formats/flannel/index.ts";
import { newLink } from "../formats/netlink/index.ts";
import { createUnnamedNetNs, isUnsupported, Rtnl } from "../kernel/index.ts";
import { type AgentProcess, TestCluster, type TestNode } from "./testing/cluster.ts";
import { startFlanneld, whyNoFlanneld } from "./testing/flanneld.ts";
import { Flow } from "./testing/flow.ts";
import { TestPod } from "./testing/pod.ts";

const V4 = { Network: "10.244.0.0/16" };
const DUAL = { ...V4, EnableIPv6: true, IPv6Network: "2001:db8:42::/48" };

function whyNot(kind: "ipip" | "wireguard"): string | false {
  if (process.getuid?.() !== 0) return "needs root: it makes network namespaces";
  const ns = createUnnamedNetNs();
  using rtnl = Rtnl.open(ns);
  try {
    rtnl.execute(newLink({ name: "try", kind: { kind } }));
    return false;
  } catch (error) {
    if (!isUnsupported(error)) return false;
    return `this kernel has no ${kind} devices; try: npm run test:other-kernel -- dist/agent/tunnels.netns.test.js`;
  } finally {
    ns.close();
  }
}

for (const [type, config, device] of [
  ["ipip", { ...V4, Backend: { Type: "ipip" } }, "flannel.ipip"],
  ["wireguard", { ...DUAL, Backend: { Type: "wireguard", PersistentKeepaliveInterval: 5 } }, "flannel-wg"],
  ["wireguard", { ...DUAL, Backend: { Type: "wireguard", Mode: "ipv6" } }, "flannel-wg"],
] as const)
  describe(`agents with ${JSON.stringify(config.Backend)}`, { skip: whyNot(type) }, () => {
    let cluster: TestCluster;
    let [one, two, three] = [] as unknown as [TestNode, TestNode, TestNode];
    let agentOne: AgentProcess;
    const pods: TestPod[] = [];

    const start = (node: TestNode): AgentProcess => {
      const key = `WIREGUARD_KEY_FILE=${join(cluster.dir, node.name, "wgkey")}`;
      const args = ["--node-name", node.name, "--subnet-file", node.subnetFile, "--iface", "eth0"];
      return cluster.startAgentBy(node, "env", [key], ...args);
    };
    const addPod = async (node: TestNode): Promise<TestPod> => {
      const pod = await TestPod.start(cluster, node, parseSubnetEnv(readFileSync(node.subnetFile, "utf8")));
      pods.push(pod);
      return pod;
    };

    before(async () => {
      cluster = await TestCluster.start(config);
      [one, two, three] = [cluster.addNode(1), cluster.addNode(2), cluster.addNode(3)];
      agentOne = start(one);
      await Promise.all([agentOne.ready, start(two).ready]);
      for (const node of [one, two]) await addPod(node);
    });
    after(async () => {
      for (const pod of pods) await pod[Symbol.asyncDispose]();
      await cluster?.[Symbol.asyncDispose]();
    });

    it("carry pings, TCP and UDP between pods of two nodes, in every family", async () => {
      const [from, to] = pods as [TestPod, TestPod];
      // The other agent may still be about to hear of this node.
      await agentOne.logged(type === "ipip" ? "kernel state brought up to date" : "WireGuard peers brought up to date");
      for (const address of to.addresses)
        for (const protocol of ["ping", "tcp", "udp"] as const)
          assert.equal(await from.why(protocol, address), undefined, `${protocol} to ${address}`);
    });

    it("keep device, key, peers and connections over a kill -9, a restart and a stop", async () => {
      const [from, to] = pods as [TestPod, TestPod];
      const index = one.rtnl.link(device)?.index;
      await using flow = await Flow.open(from.ns, to.ns, to.addresses[0] ?? "");
      await flow.more(5);
      await agentOne.kill("SIGKILL");
      await flow.more(20);
      agentOne = start(one);
      await agentOne.ready;
      assert.equal((await agentOne.status()).datapath.changes, 0);
      assert.ok(!agentOne.log().includes("WireGuard peers brought up to date"), agentOne.log());
      await flow.more(20);
      assert.deepEqual(await agentOne.kill("SIGTERM"), { code: 0, signal: null });
      await flow.more(20);
      // No count of retransmissions: an emulated machine that starts a process is slower than TCP's timers.
      assert.equal(one.rtnl.link(device)?.index, index);
      agentOne = start(one);
      await agentOne.ready;
    });

    it("make the device anew with its peers when somebody deletes it", async () => {
      const [from, to] = pods as [TestPod, TestPod];
      one.run(`ip link del ${device}`);
      await one.until(`${device} with its route`, () => {
        const index = one.rtnl.link(device)?.index;
        return one.rtnl.routes({ protocol: 112 }).some(({ oif }) => oif === index);
      });
      assert.equal(await from.why("tcp", to.addresses[0] as never), undefined);
    });

    it("share the network with Flannel's own daemon", { skip: whyNoFlanneld() }, async () => {
      const flannel = startFlanneld(cluster, three);
      await flannel.ready;
      const pod = await addPod(three);
      for (const other of pods.slice(0, 2))
        for (const address of other.addresses)
          assert.equal(await pod.why("tcp", address), undefined, `from Flannel's to ${address}`);
      for (const address of pod.addresses)
        assert.equal(await (pods[0] as TestPod).why("tcp", address), undefined, `to Flannel's ${address}`);
    });
  });
