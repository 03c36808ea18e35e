import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { test } from "node:test";
import type { JsonObject } from "../../formats/cni/index.ts";
import { parsePrefix } from "../../formats/netip/index.ts";
import { newAddress, newLink, setLink } from "../../formats/netlink/index.ts";
import { NetNs, Rtnl, readSysctl } from "../../kernel/index.ts";
import { type Answer, type Document, type FakeNode, failsWith, netnsTest, ok } from "../testing/fake-node.ts";
import { ask, expectAnswer, nft, serve, serveUdp, UdpSender } from "../testing/traffic.ts";

const records = (): string[] => (existsSync("/run/podpath/cni") ? readdirSync("/run/podpath/cni").sort() : []);

function portmapConf(mappings: JsonObject[], more: JsonObject = {}): JsonObject {
  return {
    cniVersion: "1.1.0",
    name: "cbr0",
    type: "portmap",
    capabilities: { portMappings: true },
    runtimeConfig: { portMappings: mappings },
    ...more,
  };
}

const WEB = { hostPort: 8080, containerPort: 80, protocol: "tcp" };

/** A pod of the bridge plugin, both families; its result. */
async function podOf(node: FakeNode, name: string): Promise<Document> {
  node.pod(name);
  const ranges = [[{ subnet: "10.244.1.0/24" }], [{ subnet: "fd00:10:244:1::/64" }]];
  const ipam = { type: "host-local", dataDir: node.path("networks"), ranges };
  return ok(await node.call("ADD", name, node.bridgeConf({ cniVersion: "1.1.0", ipam })));
}

const portmap = (node: FakeNode, command: string, pod: string, conf: JsonObject): Promise<Answer> =>
  node.call(command, pod, conf);

/** A machine beside the node: 192.0.2.2 and fd00:2::2, the node being .1 and ::1; its namespace's path. */
function outside(node: FakeNode): string {
  const path = node.pod("outside");
  using there = NetNs.open(path);
  using host = Rtnl.open();
  host.execute([
    setLink({ name: "lo", isUp: true }),
    newLink({ name: "up0", isUp: true, kind: { kind: "veth", peer: { name: "eth0", netnsFd: there.fd } } }),
  ]);
  const address = (rtnl: Rtnl, name: string, prefix: string): void =>
    rtnl.execute(newAddress({ index: rtnl.link(name)?.index ?? 0, prefix: parsePrefix(prefix), flags: 2 }));
  address(host, "up0", "192.0.2.1/24");
  address(host, "up0", "192.0.2.7/24");
  address(host, "up0", "fd00:2::1/64");
  node.inPod("outside", (rtnl) => {
    rtnl.execute(setLink({ name: "eth0", isUp: true }));
    address(rtnl, "eth0", "192.0.2.2/24");
    address(rtnl, "eth0", "fd00:2::2/64");
  });
  return path;
}

netnsTest(
  "host ports answer from outside, from the host, from localhost, from a neighbour and from the pod itself",
  async (node) => {
    const from = outside(node);
    const prevResult = await podOf(node, "p1");
    await podOf(node, "p2");
    using _server = serve(node.path("netns/p1"), 80, "hello");
    const conf = portmapConf([WEB], { prevResult });
    const result = ok(await portmap(node, "ADD", "p1", conf));
    assert.deepEqual(result, prevResult);
    await expectAnswer(from, "192.0.2.1", 8080, "hello");
    await expectAnswer(from, "fd00:2::1", 8080, "hello");
    await expectAnswer(undefined, "192.0.2.1", 8080, "hello");
    await expectAnswer(undefined, "127.0.0.1", 8080, "hello");
    await expectAnswer(node.path("netns/p2"), "192.0.2.1", 8080, "hello");
    await expectAnswer(node.path("netns/p2"), "10.244.1.1", 8080, "hello");
    await expectAnswer(node.path("netns/p1"), "192.0.2.1", 8080, "hello");
    assert.equal(ask(from, "192.0.2.1", 80), "");
    ok(await portmap(node, "CHECK", "p1", conf));
    assert.equal(readSysctl("net/ipv4/conf/cni0/route_localnet"), "1");
    for (let i = 0; i < 2; i++) ok(await portmap(node, "DEL", "p1", conf));
    assert.equal(ask(from, "192.0.2.1", 8080), "");
    assert.doesNotMatch(nft("list", "ruleset"), /dport|saddr/);
    assert.deepEqual(records(), []);
  },
);

netnsTest("the table is the reference's: its chains, and its comment by which it deletes", async (node) => {
  const prevResult = await podOf(node, "p1");
  const mappings = [WEB, { HostPort: 53, ContainerPort: 5353, Protocol: "UDP", HostIP: "192.0.2.1" }];
  ok(await portmap(node, "ADD", "p1", portmapConf(mappings, { prevResult })));
  assert.equal(
    nft("list", "table", "ip", "cni_hostport"),
    `table ip cni_hostport {
	comment "CNI portmap plugin"
	chain hostports {
		tcp dport 8080 dnat to 10.244.1.2:80 comment "p1"
	}

	chain hostip_hostports {
		ip daddr 192.0.2.1 udp dport 53 dnat to 10.244.1.2:5353 comment "p1"
	}

	chain hostports_all {
		jump hostip_hostports
		jump hostports
	}

	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local jump hostports_all
	}

	chain output {
		type nat hook output priority -100; policy accept;
		fib daddr type local jump hostports_all
	}

	chain masquerading {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 127.0.0.0/8 ip daddr 10.244.1.2 ct status dnat masquerade comment "p1"
		ip saddr 10.244.1.0/24 ip daddr 10.244.1.2 ct status dnat masquerade comment "p1"
	}
}
`,
  );
  assert.match(
    nft("list", "table", "ip6", "cni_hostport"),
    /tcp dport 8080 dnat to \[fd00:10:244:1::2\]:80 comment "p1"/,
  );
});

netnsTest("UDP: a sender that never pauses follows the port to the container that has it now", async (node) => {
  const from = outside(node);
  const dns = { hostPort: 5353, containerPort: 53, protocol: "udp" };
  // It begins before anybody has the port: its flow is known to the kernel as one to the node itself.
  using sender = new UdpSender(from, "192.0.2.1", 5353);
  for (const name of ["p1", "p2"]) {
    const prevResult = await podOf(node, name);
    using _server = serveUdp(node.path("netns", name), 53, `this is ${name}`);
    const conf = portmapConf([dns], { prevResult });
    ok(await portmap(node, "ADD", name, conf));
    await sender.expect(`this is ${name}`);
    ok(await portmap(node, "DEL", name, conf));
  }
});

netnsTest("hostIP: only that address; of the other family it is nothing; 0.0.0.0 is any of IPv4", async (node) => {
  const from = outside(node);
  const prevResult = await podOf(node, "p1");
  using _server = serve(node.path("netns/p1"), 80, "hello");
  const mappings = [
    { ...WEB, hostIP: "192.0.2.7" },
    { ...WEB, hostPort: 8081, hostIP: "0.0.0.0" },
    { ...WEB, hostPort: 8082, hostIP: "fd00:2::1" },
  ];
  const conf = portmapConf(mappings, { prevResult });
  ok(await portmap(node, "ADD", "p1", conf));
  ok(await portmap(node, "CHECK", "p1", conf));
  await expectAnswer(from, "192.0.2.7", 8080, "hello");
  await expectAnswer(from, "192.0.2.1", 8081, "hello");
  await expectAnswer(from, "fd00:2::1", 8082, "hello");
  for (const [address, port] of [
    ["192.0.2.1", 8080],
    ["fd00:2::1", 8081],
    ["192.0.2.1", 8082],
  ] as const)
    assert.equal(ask(from, address, port), "", `${address} ${port}`);
});

netnsTest("a port of a living container is refused, naming it; that of a dead one is taken over", async (node) => {
  const from = outside(node);
  const first = await podOf(node, "p1");
  const second = await podOf(node, "p2");
  using _server = serve(node.path("netns/p2"), 80, "second");
  ok(await portmap(node, "ADD", "p1", portmapConf([WEB], { prevResult: first })));
  const conf = portmapConf([{ hostPort: 1, containerPort: 1 }, WEB], { prevResult: second });
  const ruleset = nft("list", "ruleset");
  failsWith(
    await portmap(node, "ADD", "p2", conf),
    999,
    /host port 8080\/tcp is taken by container p1 in network cbr0/,
  );
  assert.equal(nft("list", "ruleset"), ruleset);
  const other = { ...WEB, protocol: "udp" };
  ok(await portmap(node, "ADD", "p2", portmapConf([other], { prevResult: second })));
  ok(await portmap(node, "DEL", "p2", portmapConf([other], { prevResult: second })));
  node.deletePod("p1"); // no DEL
  ok(await portmap(node, "ADD", "p2", conf));
  await expectAnswer(from, "192.0.2.1", 8080, "second");
  assert.deepEqual(records(), ["portmap:cbr0:p2:eth0"]);
});

netnsTest("DEL+ADD in a living namespace, as podman network reload does, and ADD over an ADD", async (node) => {
  const from = outside(node);
  const prevResult = await podOf(node, "p1");
  using _server = serve(node.path("netns/p1"), 80, "hello");
  const conf = portmapConf([WEB], { prevResult });
  ok(await portmap(node, "ADD", "p1", conf));
  nft("flush", "ruleset");
  assert.equal(ask(from, "192.0.2.1", 8080), "");
  ok(await portmap(node, "DEL", "p1", conf));
  ok(await portmap(node, "ADD", "p1", conf));
  await expectAnswer(from, "192.0.2.1", 8080, "hello");
  ok(await portmap(node, "ADD", "p1", portmapConf([{ ...WEB, hostPort: 9090 }], { prevResult })));
  await expectAnswer(from, "192.0.2.1", 9090, "hello");
  assert.equal(ask(from, "192.0.2.1", 8080), "");
});

netnsTest("DEL without mappings, prevResult or namespace finds what ADD made", async (node) => {
  const prevResult = await podOf(node, "p1");
  ok(await portmap(node, "ADD", "p1", portmapConf([WEB], { prevResult })));
  const { runtimeConfig: _, ...bare } = portmapConf([]);
  ok(await node.call("DEL", "p1", bare, { CNI_NETNS: "" }));
  assert.doesNotMatch(nft("list", "ruleset"), /dport/);
  ok(await node.call("DEL", "never-added", portmapConf([WEB]), { CNI_NETNS: "" }));
});

netnsTest("conditions stand in the container's own rules; masqAll hides every client", async (node) => {
  const prevResult = await podOf(node, "p1");
  const conf = portmapConf([WEB], { prevResult, conditionsV4: ["ip saddr", "!=", "192.0.2.9"], masqAll: true });
  ok(await portmap(node, "ADD", "p1", conf));
  const ruleset = nft("list", "ruleset");
  assert.match(ruleset, /ip saddr != 192\.0\.2\.9 tcp dport 8080 dnat to 10\.244\.1\.2:80 comment "p1"/);
  assert.match(ruleset, /\t\tip daddr 10\.244\.1\.2 ct status dnat masquerade comment "p1"/);
  ok(await portmap(node, "DEL", "p1", conf));
  const evil = portmapConf([WEB], { prevResult, conditionsV4: ["accept; flush ruleset; #"] });
  failsWith(await portmap(node, "ADD", "p1", evil), 999, /condition/);
});

netnsTest("snat false leaves sources and route_localnet alone", async (node) => {
  const prevResult = await podOf(node, "p1");
  ok(await portmap(node, "ADD", "p1", portmapConf([WEB], { prevResult, snat: false })));
  assert.doesNotMatch(nft("list", "ruleset"), /masquerad/);
  assert.equal(readSysctl("net/ipv4/conf/cni0/route_localnet"), "0");
});

netnsTest("CHECK on dual stack; it notices each rule that is gone", async (node) => {
  const prevResult = await podOf(node, "p1");
  const conf = portmapConf([WEB], { prevResult });
  ok(await portmap(node, "ADD", "p1", conf));
  ok(await portmap(node, "CHECK", "p1", conf));
  for (const chain of ["hostports", "prerouting", "masquerading", "hostports_all"])
    for (const family of ["ip", "ip6"]) {
      nft("flush", "chain", family, "cni_hostport", chain);
      failsWith(
        await portmap(node, "CHECK", "p1", conf),
        999,
        new RegExp(`chain ${chain} of table ${family} cni_hostport is missing`),
      );
      ok(await portmap(node, "ADD", "p1", conf));
      ok(await portmap(node, "CHECK", "p1", conf));
    }
});

netnsTest("GC removes the host ports of who is not valid in this network", async (node) => {
  for (const [pod, hostPort] of [
    ["p1", 1001],
    ["p2", 1002],
  ] as const) {
    const prevResult = await podOf(node, pod);
    ok(await portmap(node, "ADD", pod, portmapConf([{ ...WEB, hostPort }], { prevResult })));
  }
  const valid = { "cni.dev/valid-attachments": [{ containerID: "p2", ifname: "eth0" }] };
  ok(await portmap(node, "GC", "p1", portmapConf([], { ...valid, name: "other" })));
  assert.match(nft("list", "ruleset"), /dport 1001/);
  ok(await portmap(node, "GC", "p1", portmapConf([], valid)));
  assert.doesNotMatch(nft("list", "ruleset"), /dport 1001/);
  assert.match(nft("list", "ruleset"), /dport 1002/);
});

const REFUSED: [string, JsonObject, RegExp][] = [
  ["port 0", { hostPort: 0, containerPort: 80 }, /Invalid hostPort number: 0/],
  ["port 65536", { hostPort: 80, containerPort: 65536 }, /Invalid containerPort number: 65536/],
  ["an unknown protocol", { ...WEB, protocol: "icmp" }, /unknown protocol "icmp"/],
  ["no address", { ...WEB, hostIP: "localhost" }, /invalid hostIP "localhost"/],
];
for (const [what, mapping, says] of REFUSED)
  test(`portmap refuses ${what}`, { skip: false }, async () => {
    const { runPlugin } = await import("../skel.ts");
    const prevResult = { cniVersion: "1.1.0", ips: [{ address: "10.1.1.2/24" }] };
    const { stdout } = await runPlugin({
      name: "portmap",
      env: { CNI_COMMAND: "ADD", CNI_CONTAINERID: "c1", CNI_NETNS: "/nonexistent", CNI_IFNAME: "eth0", CNI_PATH: "/x" },
      stdin: JSON.stringify(portmapConf([mapping], { prevResult })),
    });
    const { code, msg } = JSON.parse(stdout);
    assert.equal(code, 7);
    assert.match(msg, says);
  });
