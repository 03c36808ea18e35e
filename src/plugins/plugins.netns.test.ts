import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { JsonObject } from "../formats/cni/index.ts";
import { formatPrefix } from "../formats/netip/index.ts";
import { newLink } from "../formats/netlink/index.ts";
import { inNs, NetNs, Rtnl, readSysctl } from "../kernel/index.ts";
import { failsWith, netnsTest, ok } from "./testing/fake-node.ts";

netnsTest("ADD makes cni0, the veth pair, address and routes, and says so", async (node) => {
  const netns = node.pod("p1");
  const result = ok(await node.call("ADD", "p1", node.flannelConf()));
  using host = Rtnl.open();
  const bridge = host.link("cni0");
  const [first, port, eth] = result.interfaces;
  assert.deepEqual([first.name, first.mac, eth.name, eth.sandbox], ["cni0", bridge?.address, "eth0", netns]);
  assert.match(port.name, /^veth[0-9a-f]{8}$/);
  assert.deepEqual(result.ips, [{ interface: 2, address: "10.244.1.2/24", gateway: "10.244.1.1" }]);
  assert.deepEqual(result.routes, [{ dst: "10.244.0.0/16" }, { dst: "0.0.0.0/0", gw: "10.244.1.1" }]);
  const hostPort = host.link(port.name);
  assert.deepEqual(
    [hostPort?.master, hostPort?.mtu, hostPort?.operState, hostPort?.bridgePort?.hairpin, hostPort?.address],
    [bridge?.index, 1450, "UP", true, port.mac],
  );
  assert.deepEqual(
    host
      .addresses(bridge?.index)
      .map(({ prefix }) => formatPrefix(prefix))
      .filter((p) => !p.startsWith("fe80")),
    ["10.244.1.1/24"],
  );
  assert.equal(readSysctl("net/ipv4/ip_forward"), "1");
  node.inPod("p1", (pod) => {
    const link = pod.link("eth0");
    assert.deepEqual([link?.isUp, link?.mtu, link?.address, link?.link], [true, 1450, eth.mac, hostPort?.index]);
    const routes = pod.routes({ family: 4, table: 254 });
    assert.deepEqual(routes.map(({ dst, gateway }) => [dst ? formatPrefix(dst) : "default", gateway]).sort(), [
      ["10.244.0.0/16", "10.244.1.1"],
      ["10.244.1.0/24", undefined],
      ["default", "10.244.1.1"],
    ]);
  });
  assert.equal(node.owner("10.244.1.2"), "p1\r\neth0");
  assert.equal(readFileSync(node.path("networks/cbr0/last_reserved_ip.0"), "utf8"), "10.244.1.2");
  assert.equal(statSync(node.path("networks/cbr0/10.244.1.2")).mode & 0o777, 0o600);
});

netnsTest("flannel's scratch file is the reference's, byte for byte, and goes with DEL", async (node) => {
  node.pod("p1");
  ok(await node.call("ADD", "p1", node.flannelConf()));
  const scratch = node.path("flannel/p1");
  assert.equal(readFileSync(scratch, "utf8"), sorted(node.bridgeConf()));
  assert.deepEqual([statSync(scratch).mode & 0o777, statSync(node.path("flannel")).mode & 0o777], [0o600, 0o700]);
  ok(await node.call("DEL", "p1", node.flannelConf()));
  assert.ok(!existsSync(scratch));
});

function sorted(value: unknown): string {
  return JSON.stringify(value, (_key, part) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

netnsTest("a second ADD of the same interface fails and leaves the first as it was", async (node) => {
  node.pod("p1");
  ok(await node.call("ADD", "p1", node.flannelConf()));
  const before = node.state();
  failsWith(await node.call("ADD", "p1", node.flannelConf()), 999, /"eth0"\) already exists/);
  assert.deepEqual(node.state(), before);
  const { json: prevResult } = await node.call("CHECK", "p1", node.flannelConf());
  assert.equal(prevResult.code, 7); // CHECK wants prevResult; the attachment itself is looked at below
  assert.equal(node.owner("10.244.1.2"), "p1\r\neth0");
});

netnsTest("DEL is content with whatever is missing, and repeatable", async (node) => {
  const conf = node.flannelConf();
  const add = async (pod: string): Promise<JsonObject> => {
    node.pod(pod);
    return { ...conf, prevResult: ok(await node.call("ADD", pod, conf)) };
  };
  const gone = (pod: string): void => {
    assert.deepEqual(node.reserved(), []);
    assert.ok(!existsSync(node.path("flannel", pod)));
  };
  const withResult = await add("twice");
  for (let i = 0; i < 2; i++) ok(await node.call("DEL", "twice", withResult));
  gone("twice");
  await add("no-result");
  ok(await node.call("DEL", "no-result", conf));
  node.inPod("no-result", (pod) => assert.equal(pod.link("eth0"), undefined));
  gone("no-result");
  await add("no-netns");
  ok(await node.call("DEL", "no-netns", conf, { CNI_NETNS: "" }));
  gone("no-netns");
  const deleted = await add("deleted");
  node.deletePod("deleted");
  ok(await node.call("DEL", "deleted", deleted));
  gone("deleted");
  await add("ordinary");
  writeFileSync(node.path("ordinary"), "");
  ok(await node.call("DEL", "ordinary", conf, { CNI_NETNS: node.path("ordinary") }));
  gone("ordinary");
  ok(await node.call("DEL", "never-added", conf));
  ok(await node.call("DEL", "never-added", { ...conf, subnetFile: "/nonexistent" }));
  rmSync(node.path("networks"), { recursive: true });
  ok(await node.call("DEL", "never-added", conf));
});

netnsTest("flannel hands prevResult on to its delegate", async (node) => {
  node.pod("p1");
  mkdirSync(node.path("bin"));
  const script = `#!/bin/sh\ncat >"${node.path("stdin")}-$CNI_COMMAND"; echo '{"cniVersion":"1.0.0"}'\n`;
  writeFileSync(node.path("bin/recorder"), script, { mode: 0o755 });
  const conf = node.flannelConf({ delegate: { type: "recorder" } });
  const prevResult = ok(await node.call("ADD", "p1", conf));
  for (const command of ["CHECK", "DEL"]) {
    ok(await node.call(command, "p1", { ...conf, prevResult }));
    assert.deepEqual(JSON.parse(readFileSync(node.path(`stdin-${command}`), "utf8")).prevResult, prevResult);
  }
});

netnsTest("DEL releases the address of a container whose scratch file is lost or empty", async (node) => {
  for (const spoil of [(path: string) => rmSync(path), (path: string) => writeFileSync(path, "")]) {
    node.pod("p1");
    ok(await node.call("ADD", "p1", node.flannelConf()));
    spoil(node.path("flannel/p1"));
    ok(await node.call("DEL", "p1", node.flannelConf()));
    assert.deepEqual(node.reserved(), []);
    node.inPod("p1", (pod) => assert.equal(pod.link("eth0"), undefined));
  }
});

netnsTest("the scratch file survives a DEL that fails, so that the next one can succeed", async (node) => {
  node.pod("p1");
  ok(await node.call("ADD", "p1", node.flannelConf()));
  const scratch = node.path("flannel/p1");
  const good = readFileSync(scratch, "utf8");
  writeFileSync(scratch, good.replace("host-local", "missing-ipam"));
  failsWith(await node.call("DEL", "p1", node.flannelConf()), 999, /failed to delegate del: .*"missing-ipam"/);
  assert.ok(existsSync(scratch));
  writeFileSync(scratch, good);
  ok(await node.call("DEL", "p1", node.flannelConf()));
  assert.deepEqual(node.reserved(), []);
});

netnsTest("20 ADDs in parallel have 20 addresses; 20 DELs leave none", async (node) => {
  const conf = node.flannelConf();
  const pods = Array.from({ length: 20 }, (_, i) => `p${i}`);
  for (const pod of pods) node.pod(pod);
  const results = (await Promise.all(pods.map((pod) => node.call("ADD", pod, conf)))).map(ok);
  assert.equal(new Set(results.map(({ ips }) => ips[0].address)).size, 20);
  assert.equal(new Set(results.map(({ interfaces }) => interfaces[1].name)).size, 20);
  assert.equal(node.reserved().length, 20);
  await Promise.all(pods.map(async (pod, i) => ok(await node.call("DEL", pod, { ...conf, prevResult: results[i] }))));
  assert.deepEqual(node.reserved(), []);
  using host = Rtnl.open();
  assert.deepEqual(
    host
      .links()
      .map(({ name }) => name)
      .sort(),
    ["cni0", "lo"],
  );
});

netnsTest("one container may have two interfaces, and two networks", async (node) => {
  node.pod("p1");
  const other = node.flannelConf({
    name: "other",
    dataDir: node.path("flannel2"),
    delegate: { bridge: "br1", isDefaultGateway: false },
  });
  node.writeSubnetEnv("10.244.7.1/24");
  ok(await node.call("ADD", "p1", other, { CNI_IFNAME: "net1" }));
  node.writeSubnetEnv("10.244.1.1/24");
  ok(await node.call("ADD", "p1", node.bridgeConf()));
  ok(
    await node.call(
      "ADD",
      "p1",
      node.bridgeConf({ isDefaultGateway: false, ipam: { ...(node.bridgeConf().ipam as JsonObject), routes: [] } }),
      { CNI_IFNAME: "eth1" },
    ),
  );
  assert.deepEqual([node.reserved(), node.reserved("other")], [["10.244.1.2", "10.244.1.3"], ["10.244.7.2"]]);
  ok(await node.call("DEL", "p1", node.bridgeConf()));
  assert.deepEqual([node.reserved(), node.owner("10.244.1.3")], [["10.244.1.3"], "p1\r\neth1"]);
  ok(await node.call("DEL", "p1", node.bridgeConf(), { CNI_IFNAME: "eth1" }));
  ok(await node.call("DEL", "p1", other, { CNI_IFNAME: "net1" }));
  assert.deepEqual([node.reserved(), node.reserved("other")], [[], []]);
});

netnsTest("the bridge keeps its MAC when ports come and go", async (node) => {
  using host = Rtnl.open();
  const mac = (): string | undefined => host.link("cni0")?.address;
  // Made by somebody else, its MAC not its own yet, as Debian's plugins leave it when the last pod went.
  host.execute(newLink({ name: "cni0", kind: { kind: "bridge" } }));
  for (const pod of ["p1", "p2", "p3"]) node.pod(pod);
  const first = ok(await node.call("ADD", "p1", node.flannelConf()));
  const kept = mac();
  assert.equal(first.interfaces[0].mac, kept);
  for (const pod of ["p2", "p3"]) ok(await node.call("ADD", pod, node.flannelConf()));
  for (const pod of ["p1", "p2", "p3"]) ok(await node.call("DEL", pod, node.flannelConf()));
  assert.equal(mac(), kept);
});

netnsTest("loopback sets lo up, whatever CNI_IFNAME says", async (node) => {
  node.pod("p1");
  const conf = { cniVersion: "0.3.1", name: "cni-loopback", type: "loopback" };
  const result = ok(await node.call("ADD", "p1", conf, { CNI_IFNAME: "lo" }));
  assert.deepEqual(result.interfaces, [{ name: "lo", mac: "00:00:00:00:00:00", sandbox: node.path("netns/p1") }]);
  assert.equal(result.ips[0].address, "127.0.0.1/8");
  assert.ok(node.inPod("p1", (rtnl) => rtnl.link("lo")?.isUp));
  const checked = { ...conf, cniVersion: "1.0.0" };
  ok(await node.call("CHECK", "p1", checked));
  for (let i = 0; i < 2; i++) ok(await node.call("DEL", "p1", conf));
  failsWith(await node.call("CHECK", "p1", checked), 999, /lo is down/);
  ok(await node.call("DEL", "p1", conf, { CNI_NETNS: "" }));
});

netnsTest("pods and host reach each other over TCP as soon as ADD has answered", async (node) => {
  for (const pod of ["p1", "p2"]) node.pod(pod);
  const [ip] = ok(await node.call("ADD", "p1", node.flannelConf())).ips[0].address.split("/");
  using netns = NetNs.open(node.pod("p1"));
  const server = inNs(netns, () =>
    spawn(
      process.execPath,
      ["-e", `require("net").createServer(s => s.end("hello")).listen(8080, () => console.log("up"))`],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    ),
  );
  try {
    await once(server.stdout, "data");
    ok(await node.call("ADD", "p2", node.flannelConf()));
    using other = NetNs.open(node.pod("p2"));
    const ask = `require("net").connect(8080, "${ip}").on("data", (d) => process.stdout.write(d))`;
    for (const where of [other, undefined]) {
      const start = () => spawn(process.execPath, ["-e", ask], { stdio: ["ignore", "pipe", "inherit"] });
      const client = where ? inNs(where, start) : start();
      const [data] = await once(client.stdout, "data");
      assert.equal(String(data), "hello");
    }
  } finally {
    server.kill();
    await once(server, "close");
  }
});
