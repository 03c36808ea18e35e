import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { CniError, type JsonObject } from "../../formats/cni/index.ts";
import { setLink } from "../../formats/netlink/index.ts";
import { NetNs, readSysctl } from "../../kernel/index.ts";
import { cannotMakeNamespaces, FakeNode, failsWith, netnsTest, ok } from "../testing/fake-node.ts";
import { REFERENCE_FOLDER, reference } from "../testing/reference.ts";
import { sysctlPath } from "./conf.ts";

const SETTINGS = {
  mac: "02:00:00:00:00:07",
  mtu: 1300,
  promisc: true,
  allmulti: true,
  sysctl: { "net.core.somaxconn": "500", "net.ipv4.conf.eth0.log_martians": "1" },
};

async function confOf(node: FakeNode, more: JsonObject = SETTINGS): Promise<JsonObject> {
  node.pod("p1");
  const prevResult = ok(await node.call("ADD", "p1", node.bridgeConf()));
  return { cniVersion: "1.0.0", name: "cbr0", type: "tuning", prevResult, ...more };
}

const linkOf = (node: FakeNode): unknown =>
  node.inPod("p1", (pod) => {
    const { index: _, link: _peer, ...link } = pod.link("eth0") ?? { index: 0 };
    return link;
  });

function somaxconn(node: FakeNode): string | undefined {
  using netns = NetNs.open(node.pod("p1"));
  return readSysctl("net/core/somaxconn", netns);
}

netnsTest("the settings are made and told, kept as before for DEL, and CHECK sees each that is not", async (node) => {
  const conf = await confOf(node, { ...SETTINGS, txQLen: 77 });
  const before = linkOf(node);
  const result = ok(await node.call("ADD", "p1", conf));
  assert.equal(result.interfaces[2].mac, SETTINGS.mac);
  assert.equal(somaxconn(node), "500");
  ok(await node.call("ADD", "p1", conf)); // again: what was before is not lost
  const added = { ...conf, prevResult: result };
  ok(await node.call("CHECK", "p1", added));
  ok(await node.call("CHECK", "p1", { ...node.bridgeConf(), prevResult: result })); // with the MAC of now
  for (const [change, says] of [
    [{ mtu: 1400 }, /MTU 1400, not 1300/],
    [{ promiscuous: false }, /no promiscuous mode/],
    [{ allMulticast: false }, /no all-multicast mode/],
    [{ txQueueLength: 5 }, /queue length 5, not 77/],
  ] as const) {
    node.inPod("p1", (pod) => pod.execute(setLink({ name: "eth0", ...change })));
    failsWith(await node.call("CHECK", "p1", added), 999, says);
    ok(await node.call("ADD", "p1", conf));
  }
  ok(await node.call("DEL", "p1", added));
  assert.deepEqual(linkOf(node), before);
  ok(await node.call("DEL", "p1", added));
  ok(await node.call("DEL", "p1", conf, { CNI_NETNS: "" }));
});

netnsTest("without settings the result goes through; an ADD that fails gives the interface back", async (node) => {
  const { prevResult, ...conf } = await confOf(node, {});
  assert.deepEqual(ok(await node.call("ADD", "p1", { ...conf, prevResult: prevResult as JsonObject })), prevResult);
  failsWith(await node.call("ADD", "p1", conf), 7, /must be called as chained plugin/);
  const before = linkOf(node);
  const bad = { ...conf, prevResult: prevResult as JsonObject, mtu: 1300, sysctl: { "net.core.no_such_thing": "1" } };
  failsWith(await node.call("ADD", "p1", bad), 999, /Cannot set sysctl net\/core\/no_such_thing/);
  assert.deepEqual(linkOf(node), before);
  assert.ok(!existsSync("/run/cni/tuning/p1_eth0.json"));
});

const skip = existsSync(`${REFERENCE_FOLDER}/tuning`)
  ? cannotMakeNamespaces()
  : "containernetworking-plugins is not installed";
test("tuning makes what the reference does, keeps its file, and each restores what the other changed", {
  skip,
}, async () => {
  const states: unknown[] = [];
  const ours = (node: FakeNode, ...call: [string, string, JsonObject]) => node.call(...call);
  for (const [add, del] of [
    [reference, ours],
    [ours, reference],
  ] as const) {
    using node = new FakeNode();
    const conf = await confOf(node);
    node.inPod("p1", (pod) => pod.execute(setLink({ name: "eth0", address: "02:00:00:00:00:01" as never, mtu: 1500 })));
    const before = linkOf(node);
    const result = ok(await add(node, "ADD", "p1", conf));
    const { stats: _, ...link } = linkOf(node) as JsonObject;
    states.push([
      link,
      somaxconn(node),
      readFileSync("/run/cni/tuning/p1_eth0.json", "utf8"),
      result.interfaces[2].mac,
    ]);
    ok(await del(node, "DEL", "p1", { ...conf, prevResult: result }));
    assert.deepEqual(linkOf(node), before);
    assert.ok(!existsSync("/run/cni/tuning/p1_eth0.json"));
  }
  assert.deepEqual(states[1], states[0]);
});

test("sysctlPath() takes both separators, and nothing outside of net", () => {
  assert.equal(sysctlPath("net.ipv4.conf.IFNAME.arp_notify", "eth0"), "net/ipv4/conf/eth0/arp_notify");
  assert.equal(sysctlPath("net/ipv4/conf/eth0.100/arp_notify", "eth0"), "net/ipv4/conf/eth0.100/arp_notify");
  assert.equal(sysctlPath("net.ipv4.conf.eth0/100.arp_notify", "eth0"), "net/ipv4/conf/eth0.100/arp_notify");
  for (const name of ["kernel.hostname", "net", "net..x", "net/../kernel/hostname", "network.x", "/net/x", ""])
    assert.throws(() => sysctlPath(name, "eth0"), CniError, name);
});
