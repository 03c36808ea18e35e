import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { CNI_VERSIONS, type JsonObject, parseNetConf } from "../formats/cni/index.ts";
import { formatPrefix, parseMac, parsePrefix, prefixesEqual } from "../formats/netip/index.ts";
import { deleteAddress, deleteLink, deleteRoute, newAddress, newLink, setLink } from "../formats/netlink/index.ts";
import { Rtnl } from "../kernel/index.ts";
import { ensureBridge, ensureGateways } from "./bridge/bridge-link.ts";
import { readBridgeConf } from "./bridge/conf.ts";
import { Host } from "./host.ts";
import { failsWith, netnsTest, ok } from "./testing/fake-node.ts";
import { UndoStack } from "./undo.ts";

netnsTest("a failed ADD leaves nothing: the pool is exhausted", async (node) => {
  const conf = node.bridgeConf({
    ipam: { type: "host-local", dataDir: node.path("networks"), subnet: "10.9.0.0/30" },
  });
  for (const pod of ["p1", "p2"]) node.pod(pod);
  ok(await node.call("ADD", "p1", conf));
  const before = node.state();
  failsWith(
    await node.call("ADD", "p2", conf),
    999,
    /failed to allocate for range 0: no IP addresses available in range set: 10.9.0.1-10.9.0.2/,
  );
  assert.deepEqual(node.state(), before);
});

netnsTest("a failed ADD leaves nothing, whichever step fails", async (node) => {
  node.pod("p1");
  mkdirSync(node.path("bin"));
  // A foreign IPAM plugin that fails; it tells what it was asked.
  const script = node.path("bin", "failing-ipam");
  writeFileSync(
    script,
    `#!/bin/sh\ncat >/dev/null; echo "$CNI_COMMAND" >&2; echo '{"code":123,"msg":"no luck"}'; exit 1\n`,
  );
  chmodSync(script, 0o755);
  const ipam = (more: JsonObject): JsonObject => ({ ...(node.bridgeConf().ipam as JsonObject), ...more });
  const rows: [JsonObject, number, RegExp][] = [
    [node.bridgeConf({ ipam: ipam({ routes: [{ dst: "10.244.0.0/16", gw: "192.0.2.1" }] }) }), 999, /ENETUNREACH/],
    [node.bridgeConf({ ipam: { type: "failing-ipam" } }), 123, /no luck/],
    [node.bridgeConf({ ipam: { type: "absent-ipam" } }), 999, /failed to find plugin "absent-ipam" in path/],
    [node.bridgeConf({ ipam: { type: "../x" } }), 7, /invalid plugin type/],
    [node.bridgeConf({ vlan: 7 }), 2, /"vlan": 7/],
    [node.bridgeConf({ promiscMode: true }), 7, /hairpin mode and promiscuous mode/],
    [node.bridgeConf({ mtu: 10 }), 999, /EINVAL|Invalid/],
    [node.bridgeConf({ bridge: "a/b" }), 7, /bridge name/],
    [
      node.flannelConf({ subnetFile: "/nonexistent/subnet.env" }),
      999,
      /failed to load flannel 'subnet.env' file.*\/nonexistent/,
    ],
    [node.flannelConf({ delegate: { name: "x" } }), 7, /must not have 'name' field/],
    [node.flannelConf({ delegate: { type: "absent" } }), 999, /failed to delegate add: failed to find plugin "absent"/],
  ];
  mkdirSync(node.path("networks/cbr0"), { recursive: true });
  mkdirSync(node.path("flannel"));
  const before = node.state();
  for (const [conf, code, message] of rows) {
    const answer = await node.call("ADD", "p1", conf);
    failsWith(answer, code, message);
    assert.deepEqual(node.state(), before, String(message));
    if (code === 123) assert.match(answer.stderr, /ADD\n.*DEL\n/s); // what may be half done is undone
  }
});

netnsTest("a failed ADD leaves nothing: the bridge is taken, or has another address", async (node) => {
  node.pod("p1");
  using host = Rtnl.open();
  host.execute(newLink({ name: "taken", kind: { kind: "veth", peer: { name: "other" } } }));
  host.execute(newLink({ name: "cni0", kind: { kind: "bridge" }, isUp: true }));
  const index = host.link("cni0")?.index ?? 0;
  host.execute(newAddress({ index, prefix: parsePrefix("10.99.0.1/24") }));
  mkdirSync(node.path("networks/cbr0"), { recursive: true });
  const before = node.state();
  failsWith(
    await node.call("ADD", "p1", node.bridgeConf({ bridge: "taken" })),
    999,
    /"taken" already exists but is not a bridge/,
  );
  assert.deepEqual(node.state(), before);
  failsWith(
    await node.call("ADD", "p1", node.bridgeConf()),
    999,
    /already has an IP address different from 10.244.1.1\/24/,
  );
  assert.deepEqual(node.state(), before);
  ok(await node.call("ADD", "p1", node.bridgeConf({ forceAddress: true })));
  assert.deepEqual(
    host
      .addresses(index)
      .map(({ prefix }) => formatPrefix(prefix))
      .filter((p) => !p.startsWith("fe80")),
    ["10.244.1.1/24"],
  );
});

netnsTest("a failed ADD leaves the gateway to a pod that was added meanwhile", async (node) => {
  using kept = new Host();
  const host = kept.rtnl;
  const gateway = parsePrefix("10.244.1.1/24");
  const hasGateway = (): boolean => host.addresses().some(({ prefix }) => prefixesEqual(prefix, gateway));
  const conf = readBridgeConf({
    ifName: "eth0",
    args: "",
    conf: parseNetConf(JSON.stringify(node.bridgeConf()), CNI_VERSIONS),
  });
  /** As far as the first pod's ADD had come when it failed. */
  const begin = (): UndoStack => {
    const undo = new UndoStack();
    const link = ensureBridge({ host: kept, undo }, conf);
    host.execute(
      newLink({ name: "vethfirst", master: link.index, isUp: true, kind: { kind: "veth", peer: { name: "first" } } }),
    );
    undo.push("veth pair", () => host.execute(deleteLink({ name: "vethfirst" })));
    ensureGateways({ host: kept, link, conf, port: "vethfirst", undo }, [
      { address: gateway, gateway: gateway.address },
    ]);
    return undo;
  };
  const alone = begin();
  assert.deepEqual(await alone.run(), []);
  assert.equal(host.link("cni0"), undefined);
  const first = begin();
  node.pod("p2");
  ok(await node.call("ADD", "p2", node.bridgeConf()));
  assert.deepEqual(await first.run(), []);
  assert.ok(hasGateway());
});

netnsTest("CHECK passes after ADD and names what is missing since", async (node) => {
  using host = Rtnl.open();
  const conf = node.flannelConf();
  const link = (rtnl: Rtnl, name: string): number => rtnl.link(name)?.index ?? assert.fail(`no ${name}`);
  const rows: [string, RegExp, (pod: string, portName: string) => void][] = [
    [
      "default route",
      /route to 0.0.0.0\/0 via 10.244.1.1 is missing/,
      (pod) => node.inPod(pod, (rtnl) => rtnl.execute(deleteRoute({ family: 4, oif: link(rtnl, "eth0") }))),
    ],
    [
      "interface down",
      /eth0 is down/,
      (pod) => node.inPod(pod, (rtnl) => rtnl.execute(setLink({ name: "eth0", isUp: false }))),
    ],
    [
      "address",
      /address 10.244.1.\d+\/24 is missing on eth0/,
      (pod) =>
        node.inPod(pod, (rtnl) => {
          const [address] = rtnl.addresses(link(rtnl, "eth0"));
          assert.ok(address);
          rtnl.execute(deleteAddress(address));
        }),
    ],
    ["bridge port", /is not attached to cni0/, (_pod, port) => host.execute(setLink({ name: port, master: 0 }))],
    [
      "MAC",
      /eth0 has MAC address/,
      (pod) =>
        node.inPod(pod, (rtnl) => rtnl.execute(setLink({ name: "eth0", address: parseMac("02:00:00:00:00:77") }))),
    ],
    [
      "hairpin",
      /hairpin mode is off/,
      (_pod, port) => host.execute(setLink({ name: port, bridgePort: { hairpin: false } })),
    ],
    [
      "IP file",
      /Failed to find address added by container/,
      (pod) => {
        const ip = node.reserved().find((name) => node.owner(name).startsWith(`${pod}\r`)) ?? assert.fail("no file");
        rmSync(node.path("networks/cbr0", ip));
      },
    ],
    [
      "gateway",
      /gateway address 10.244.1.1 is missing on cni0/,
      () => host.execute(deleteAddress({ index: link(host, "cni0"), prefix: parsePrefix("10.244.1.1/24") })),
    ],
  ];
  for (const [index, [what, message, spoil]] of rows.entries()) {
    const pod = `p${index}`;
    node.pod(pod);
    const prevResult = ok(await node.call("ADD", pod, conf));
    ok(await node.call("CHECK", pod, { ...conf, prevResult }));
    spoil(pod, prevResult.interfaces[1].name);
    failsWith(await node.call("CHECK", pod, { ...conf, prevResult }), 999, message);
    ok(await node.call("DEL", pod, { ...conf, prevResult }));
    assert.deepEqual(node.reserved(), [], what);
  }
});

netnsTest("the plugin's own namespace is refused before anything is done", async (node) => {
  const before = node.state();
  for (const command of ["ADD", "DEL"]) {
    const answer = await node.call(command, "p1", node.flannelConf(), { CNI_NETNS: "/proc/thread-self/ns/net" });
    failsWith(answer, 8, /CNI_NETNS_OVERRIDE/);
  }
  assert.deepEqual(node.state(), before);
  failsWith(
    await node.call("ADD", "p1", node.flannelConf(), { CNI_NETNS: "/nonexistent" }),
    8,
    /failed to open netns "\/nonexistent"/,
  );
});

netnsTest("STATUS tells a missing subnet.env and an exhausted pool; GC frees what is not wanted", async (node) => {
  const conf = node.flannelConf({ cniVersion: "1.1.0" });
  for (const pod of ["p1", "p2"]) {
    node.pod(pod);
    ok(await node.call("ADD", pod, conf));
  }
  ok(await node.call("STATUS", "", conf));
  failsWith(await node.call("STATUS", "", { ...conf, subnetFile: "/nonexistent" }), 50, /subnet.env/);
  failsWith(await node.call("STATUS", "", { ...conf, cniVersion: "1.0.0" }), 1, /does not allow STATUS/);
  ok(await node.call("GC", "", conf)); // no list: nothing is known to be stale
  assert.equal(node.reserved().length, 2);
  ok(await node.call("GC", "", { ...conf, "cni.dev/valid-attachments": [{ containerID: "p2", ifname: "eth0" }] }));
  assert.deepEqual(
    [node.reserved(), existsSync(node.path("flannel/p1")), existsSync(node.path("flannel/p2"))],
    [["10.244.1.3"], false, true],
  );
});

netnsTest("a plugin that is its own IPAM is refused, and not asked for ever", async (node) => {
  const conf = node.bridgeConf({ cniVersion: "1.1.0", ipam: { type: "bridge" } });
  for (const command of ["STATUS", "CHECK", "DEL"])
    failsWith(await node.call(command, "p1", conf), 7, /leads in a circle.*"ipam"/);
});

netnsTest("an ADD whose result cannot be told in the version asked for leaves nothing", async (node) => {
  node.pod("p1");
  const before = node.state();
  // A result of 0.1.0 has one address at least; a bridge without IPAM has none.
  const { ipam: _, ...conf } = node.bridgeConf({ cniVersion: "0.1.0", isGateway: false, isDefaultGateway: false });
  failsWith(await node.call("ADD", "p1", conf), 999, /no valid IP addresses/);
  assert.deepEqual(node.state(), before);
});
