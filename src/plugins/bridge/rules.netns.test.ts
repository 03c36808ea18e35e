import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import type { JsonObject } from "../../formats/cni/index.ts";
import { parseMac } from "../../formats/netip/index.ts";
import { setLink } from "../../formats/netlink/index.ts";
import { type FakeNode, failsWith, netnsTest, ok } from "../testing/fake-node.ts";
import { nft, ping } from "../testing/traffic.ts";

const records = (): string[] => (existsSync("/run/podpath/cni") ? readdirSync("/run/podpath/cni").sort() : []);

function masqConf(node: FakeNode, more: JsonObject = {}): JsonObject {
  return node.bridgeConf({ cniVersion: "1.1.0", ipMasq: true, ...more });
}

// What the reference plugin (1.6 and later) leaves, of these names: facts from its own listing.
const TABLE = `table inet cni_plugins_masquerade {
	comment "Masquerading for plugins from github.com/containernetworking/plugins"
	chain masq_checks {
		comment "Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet"
		ip saddr 10.244.1.2 ip daddr != 10.244.1.0/24 masquerade comment "cb6e746fae1a4d6c-b2e2d81a686723be, net: cbr0, if: eth0, id: p1"
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip daddr 224.0.0.0/4 return
		ip6 daddr ff00::/8 return
		goto masq_checks
	}
}
`;

netnsTest("ipMasq makes the reference's table, rule by rule, and DEL takes its own rule away", async (node) => {
  for (const pod of ["p1", "p2"]) node.pod(pod);
  const prevResult = ok(await node.call("ADD", "p1", masqConf(node)));
  assert.equal(nft("list", "ruleset"), TABLE);
  assert.deepEqual(records(), ["bridge:cbr0:p1:eth0"]);
  ok(await node.call("CHECK", "p1", masqConf(node, { prevResult })));
  ok(await node.call("ADD", "p2", masqConf(node)));
  ok(await node.call("DEL", "p2", masqConf(node)));
  assert.equal(nft("list", "ruleset"), TABLE);
  ok(await node.call("DEL", "p1", masqConf(node)));
  assert.doesNotMatch(nft("list", "ruleset"), /saddr/);
  assert.deepEqual(records(), []);
});

netnsTest("both families, and both in one transaction", async (node) => {
  node.pod("p1");
  const ranges = [[{ subnet: "10.244.1.0/24" }], [{ subnet: "fd00:10:244:1::/64" }]];
  const conf = masqConf(node, { ipam: { type: "host-local", dataDir: node.path("networks"), ranges } });
  ok(await node.call("ADD", "p1", conf));
  assert.match(nft("list", "ruleset"), /ip6 saddr fd00:10:244:1::2 ip6 daddr != fd00:10:244:1::\/64 masquerade/);
  ok(await node.call("DEL", "p1", conf));
  assert.doesNotMatch(nft("list", "ruleset"), /saddr/);
});

netnsTest(
  "DEL finds the rules without namespace, without prevResult, and with a changed configuration",
  async (node) => {
    for (const [pod, env, more] of [
      ["gone", { CNI_NETNS: "" }, {}],
      ["path", { CNI_NETNS: "/nonexistent" }, {}],
      ["conf", {}, { ipMasq: false }],
    ] as const) {
      node.pod(pod);
      ok(await node.call("ADD", pod, masqConf(node, { macspoofchk: true })));
      assert.match(nft("list", "ruleset"), /saddr/);
      for (let i = 0; i < 2; i++) ok(await node.call("DEL", pod, masqConf(node, more), env));
      assert.doesNotMatch(nft("list", "ruleset"), /saddr|macspoofchk|cni-br-iface/);
      assert.deepEqual([records(), node.reserved()], [[], []]);
    }
  },
);

netnsTest("macspoofchk: the reference's chains; frames with another MAC do not leave the pod", async (node) => {
  node.pod("p1");
  const conf = masqConf(node, { ipMasq: false, macspoofchk: true });
  const prevResult = ok(await node.call("ADD", "p1", conf));
  const [, port, eth] = prevResult.interfaces;
  assert.equal(
    nft("list", "ruleset"),
    `table bridge nat {
	chain PREROUTING {
		type filter hook prerouting priority dstnat; policy accept;
		iifname "${port.name}" jump cni-br-iface-p1-eth0 comment "macspoofchk-p1-eth0"
	}

	chain cni-br-iface-p1-eth0-mac {
		ether saddr ${eth.mac} return comment "macspoofchk-p1-eth0"
		drop comment "macspoofchk-p1-eth0"
	}

	chain cni-br-iface-p1-eth0 {
		jump cni-br-iface-p1-eth0-mac comment "macspoofchk-p1-eth0"
	}
}
`,
  );
  ok(await node.call("CHECK", "p1", { ...conf, prevResult }));
  assert.ok(ping(node.path("netns/p1"), "10.244.1.1"));
  node.inPod("p1", (pod) => pod.execute(setLink({ name: "eth0", address: parseMac("02:00:00:00:00:99") })));
  assert.ok(!ping(node.path("netns/p1"), "10.244.1.1"));
  ok(await node.call("DEL", "p1", conf));
  assert.equal(
    nft("list", "ruleset"),
    "table bridge nat {\n\tchain PREROUTING {\n\t\ttype filter hook prerouting priority dstnat; policy accept;\n\t}\n}\n",
  );
});

netnsTest("CHECK notices masquerade rules that somebody flushed; DEL does not mind", async (node) => {
  for (const flush of [
    ["flush", "ruleset"],
    ["flush", "chain", "inet", "cni_plugins_masquerade", "postrouting"],
    ["flush", "chain", "inet", "cni_plugins_masquerade", "masq_checks"],
  ]) {
    node.pod("p1");
    const prevResult = ok(await node.call("ADD", "p1", masqConf(node)));
    nft(...flush);
    failsWith(await node.call("CHECK", "p1", masqConf(node, { prevResult })), 999, /cni_plugins_masquerade is missing/);
    for (let i = 0; i < 2; i++) ok(await node.call("DEL", "p1", masqConf(node)));
    assert.deepEqual(node.reserved(), []);
  }
});

netnsTest("an ADD that fails leaves no rule", async (node) => {
  node.pod("p1");
  const before = node.state();
  // A chain of that name that is no base chain for NAT: nft refuses to make it one.
  nft(
    "add table inet cni_plugins_masquerade; add chain inet cni_plugins_masquerade postrouting { type filter hook input priority 0; }",
  );
  failsWith(await node.call("ADD", "p1", masqConf(node)), 999, /Cannot change the ruleset/);
  assert.deepEqual([node.state(), records()], [before, []]);
});

netnsTest(
  "GC removes the rules of who is not valid, in its own network only, with and without a record",
  async (node) => {
    for (const pod of ["p1", "p2", "p3"]) node.pod(pod);
    for (const pod of ["p1", "p2"]) ok(await node.call("ADD", pod, masqConf(node, { macspoofchk: true })));
    ok(await node.call("ADD", "p3", masqConf(node, { name: "other" })));
    // As the reference would have left it: nobody has a record of it.
    nft(
      'add rule inet cni_plugins_masquerade masq_checks ip saddr 10.9.9.9 masquerade comment "cb6e746fae1a4d6c-0123456789abcdef, net: cbr0"',
    );
    const valid = { "cni.dev/valid-attachments": [{ containerID: "p1", ifname: "eth0" }] };
    ok(await node.call("GC", "p1", masqConf(node)));
    assert.match(nft("list", "ruleset"), /10\.9\.9\.9/);
    ok(await node.call("GC", "p1", masqConf(node, valid)));
    const ruleset = nft("list", "ruleset");
    assert.deepEqual(ruleset.match(/id: p\d|10\.9\.9\.9|macspoofchk-p\d/g)?.sort(), [
      "id: p1",
      "id: p3",
      ...Array(4).fill("macspoofchk-p1"),
    ]);
    assert.deepEqual(records(), ["bridge:cbr0:p1:eth0", "bridge:other:p3:eth0"]);
  },
);

netnsTest(
  "disableContainerInterface: attached to the bridge, down, without addresses; IPAM is refused",
  async (node) => {
    node.pod("p1");
    failsWith(await node.call("ADD", "p1", node.bridgeConf({ disableContainerInterface: true })), 7, /cannot use IPAM/);
    const { ipam: _, ...conf } = node.bridgeConf({ disableContainerInterface: true, isDefaultGateway: false });
    const result = ok(await node.call("ADD", "p1", conf));
    assert.equal(result.interfaces[2].name, "eth0");
    node.inPod("p1", (pod) => assert.equal(pod.link("eth0")?.isUp, false));
    ok(await node.call("CHECK", "p1", { ...conf, prevResult: result }));
    ok(await node.call("DEL", "p1", conf));
  },
);

netnsTest("vlan and vlanTrunk are refused, with what to do instead", async (node) => {
  node.pod("p1");
  for (const more of [{ vlan: 100 }, { vlanTrunk: [{ id: 7 }] }])
    failsWith(await node.call("ADD", "p1", node.bridgeConf(more)), 2, /does not filter VLANs/);
});
