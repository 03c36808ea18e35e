import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { installCni } from "../../plugins/index.ts";
import { TestCluster, type TestNode } from "../testing/cluster.ts";
import { isDaemonArgv } from "./agents.ts";

const skip = process.getuid?.() === 0 ? false : "needs root: it makes network namespaces";

/** Everything that a cleanup could be wrong about, in lines; but for link-local IPv6, which the kernel adds when it likes. */
function stateOf(node: TestNode): string[] {
  const commands = [
    "ip -o -d link",
    "ip -o addr",
    "ip route show table all",
    "ip -6 route show table all",
    "ip nexthop",
    "ip neigh show nud permanent",
    "bridge fdb",
    "nft list ruleset",
    "sysctl net.ipv4.ip_forward",
  ];
  return (
    commands
      .flatMap((command) => node.run(command).split("\n"))
      // A cable that has just been plugged in: what the kernel says of it is still to change.
      .map((line) => line.replaceAll(/NO-CARRIER,|LOWER_UP,?| state \S+/g, ""))
      .filter((line) => line !== "" && !/fe80:|ff00:|33:33:/.test(line))
  );
}

function assertSame(is: readonly string[], was: readonly string[]): void {
  const [come, gone] = [is.filter((line) => !was.includes(line)), was.filter((line) => !is.includes(line))];
  assert.deepEqual({ come, gone }, { come: [], gone: [] });
}

/** What is not ours, close to what is. */
function addForeign(node: TestNode): void {
  for (const command of [
    "sysctl -q -w net.ipv4.ip_forward=1",
    "ip link add flannel.9 type bridge",
    "ip link add vxlan7 type vxlan id 7 dstport 4789 dev eth0",
    "ip link add flannelx type veth peer name flannely",
    "ip route add 10.244.250.0/24 via 192.168.100.1",
    "ip route add 10.99.0.0/24 via 192.168.100.1 proto static",
    "ip route add blackhole 10.98.0.0/24",
    "ip route add 10.97.0.0/24 via 192.168.100.1 table 100",
    "nft add table ip flannel-ipv4-not-ours",
    "nft add table inet flannel-ipv4",
    "nft add chain inet flannel-ipv4 c",
  ])
    node.run(command);
}

describe("podpath cleanup", { skip }, () => {
  const cleanup = (cluster: TestCluster, node: TestNode, ...args: string[]): ReturnType<TestCluster["podpath"]> =>
    cluster.podpath(node, "cleanup", `--subnet-file=${node.subnetFile}`, ...args);

  it("leaves the node as it was before the agent, and what is foreign untouched; again, it finds nothing", async () => {
    await using cluster = await TestCluster.start();
    const [one, two] = [cluster.addNode(1), cluster.addNode(2)];
    addForeign(one);
    const before = stateOf(one);
    const agent = cluster.startAgent(one, "--service-cidr=10.96.0.0/12");
    const { subnet } = await agent.ready;
    const { subnet: other } = await cluster.startAgent(two).ready;
    await one.until("the peer", () => one.rtnl.routes({ protocol: 112 }).length === 1);
    await one.untilNft("the gateway", (nft) => JSON.stringify(nft.list("list tables")).includes("podpath-gateway"));
    const running = stateOf(one);

    const refused = await cleanup(cluster, one);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, new RegExp(`the agent runs \\(pid ${agent.child.pid}\\)`));
    assertSame(stateOf(one), running);

    await agent.kill("SIGKILL");
    // What a crash between two steps, an older version or a Flannel may leave besides.
    for (const command of [
      "ip route add 10.244.77.0/24 via 192.168.100.1 proto 112",
      `ip route add blackhole ${subnet}`,
      "ip nexthop add id 77 via 192.168.100.1 dev eth0 proto 112",
      "ip link add flannel.4096 type vxlan id 4096 dstport 8475 dev eth0",
    ])
      one.run(command);
    const dirty = stateOf(one);
    const dry = await cleanup(cluster, one, "--dry-run");
    assert.equal(dry.code, 0, dry.stderr);
    assert.match(dry.stdout, /^would remove device flannel\.1$/m);
    assertSame(stateOf(one), dirty);

    const { code, stdout, stderr } = await cleanup(cluster, one);
    assert.equal(code, 0, stdout + stderr);
    assertSame(stateOf(one), before);
    assert.deepEqual(readdirSync(dirname(one.subnetFile)), []);
    for (const what of [
      "device flannel.1",
      "device flannel.4096",
      "table ip flannel-ipv4",
      "table ip podpath-gateway",
      "nexthop 77",
    ])
      assert.ok(stdout.split("\n").includes(`removed ${what}`), `${what}\n${stdout}`);
    assert.match(stdout, /^left alone: device flannel\.9: it is bridge/m);
    assert.match(stdout, /^left alone: route 10\.244\.250\.0\/24 via 192\.168\.100\.1: it bears no mark of ours/m);
    assert.ok(await cluster.store.get(`/coreos.com/network/subnets/${subnet?.replace("/", "-")}`), "the lease stays");

    const again = await cleanup(cluster, one);
    assert.deepEqual([again.code, again.stdout.split("\n")[0]], [0, "nothing to remove"]);
    assert.equal(two.rtnl.routes({ protocol: 112 }).length, 1, `${other} is no business of node1's`);
  });

  it("gives the lease back when asked to, and a reservation never", async () => {
    await using cluster = await TestCluster.start();
    const [one, two] = [cluster.addNode(1), cluster.addNode(2)];
    const [agent, agentTwo] = [cluster.startAgent(one), cluster.startAgent(two)];
    const key = `/coreos.com/network/subnets/${(await agent.ready).subnet?.replace("/", "-")}`;
    await agentTwo.ready;
    await agent.kill("SIGKILL");
    const { code, stdout } = await cleanup(
      cluster,
      one,
      `--etcd-endpoints=${cluster.endpoint}`,
      "--lease",
      "--node-name=node1",
    );
    assert.equal(code, 0, stdout);
    assert.equal(await cluster.store.get(key), undefined, stdout);
    assert.equal(await cluster.store.get("/podpath/nodes/coreos.com/network/192.168.100.11"), undefined);
    assert.equal((await cluster.store.list("/coreos.com/network/subnets/")).kvs.length, 1);

    await agentTwo.kill("SIGKILL");
    const [kv] = (await cluster.store.list("/coreos.com/network/subnets/")).kvs;
    await cluster.store.put(kv?.key ?? "", kv?.valueText ?? "");
    const reserved = await cleanup(cluster, two, "--lease");
    assert.equal(reserved.code, 0);
    assert.match(reserved.stdout, /left alone: lease .* it is a reservation/);
    assert.equal((await cluster.store.list("/coreos.com/network/subnets/")).kvs.length, 1);
  });

  it("takes the routes of a Flannel's host-gw for what they are when the leases tell so", async () => {
    await using cluster = await TestCluster.start({ Network: "10.244.0.0/16", Backend: { Type: "host-gw" } });
    const one = cluster.addNode(1);
    const before = stateOf(one);
    await cluster.store.put(
      "/coreos.com/network/subnets/10.244.2.0-24",
      '{"PublicIP":"192.168.100.12","PublicIPv6":null,"BackendType":"host-gw"}',
    );
    one.run("ip route add 10.244.2.0/24 via 192.168.100.12 dev eth0");
    const args = [`--etcd-endpoints=${cluster.endpoint}`];
    const { code, stdout } = await cleanup(cluster, one, ...args);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^removed route 10\.244\.2\.0\/24 via 192\.168\.100\.12$/m);
    assertSame(stateOf(one), before);
  });

  it("ends the process that goes on carrying the udp backend's packets", async () => {
    await using cluster = await TestCluster.start({ Network: "10.244.0.0/16", Backend: { Type: "udp" } });
    const one = cluster.addNode(1);
    one.run("sysctl -q -w net.ipv4.ip_forward=1");
    const before = stateOf(one);
    const agent = cluster.startAgent(one);
    await agent.ready;
    await agent.kill("SIGKILL");
    assert.match(one.run("ss -Hulnp"), /:8285 /, "it goes on without the agent");
    const { code, stdout } = await cleanup(cluster, one);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^removed device flannel0$/m);
    assertSame(stateOf(one), before);
    while (one.run("ss -Hulnp") !== "") await new Promise((resolve) => setTimeout(resolve, 20));
  });

  it("takes the pods' bridge along when asked to, with what is a pod's and no more", async () => {
    await using cluster = await TestCluster.start();
    const one = cluster.addNode(1);
    for (const command of [
      "ip link add cni0 type bridge",
      "ip link add veth1 type veth peer name pod1",
      "ip link set veth1 master cni0",
      "ip link add uplink type vxlan id 9 dstport 4789 dev eth0",
      "ip link set uplink master cni0",
    ])
      one.run(command);
    assert.doesNotMatch((await cleanup(cluster, one)).stdout, /cni0/);
    const { code, stdout } = await cleanup(cluster, one, "--pods", "--dry-run");
    assert.equal(code, 0, stdout);
    for (const line of [
      "would remove pod interface veth1",
      "would remove bridge cni0",
      "left alone: device uplink, a port of cni0",
    ])
      assert.ok(stdout.includes(line), stdout);
  });

  it("takes its own plugins and configuration along when asked to, and nobody else's", async () => {
    await using cluster = await TestCluster.start();
    const one = cluster.addNode(1);
    const [binDir, confDir] = [join(cluster.dir, "bin"), join(cluster.dir, "net.d")];
    mkdirSync(binDir);
    writeFileSync(join(binDir, "dhcp"), "another's");
    installCni({ binDir, confDir, socketPath: "/run/x.sock" });
    writeFileSync(join(binDir, "loopback"), "the reference plugin's");
    const args = ["--cni", `--bin-dir=${binDir}`, `--conf-dir=${confDir}`];
    const { code, stdout } = await cleanup(cluster, one, ...args);
    assert.equal(code, 0, stdout);
    assert.deepEqual(readdirSync(binDir).sort(), ["dhcp", "loopback"]);
    assert.deepEqual(readdirSync(confDir), []);
    assert.match(stdout, /left alone: file .*\/loopback: it is not podpath's/);
    writeFileSync(join(confDir, "10-flannel.conflist"), "{}");
    await cleanup(cluster, one, ...args);
    assert.ok(existsSync(join(confDir, "10-flannel.conflist")), "an administrator's configuration stays");
    rmSync(confDir, { recursive: true });
  });
});

describe("isDaemonArgv()", () => {
  it("knows an agent by its command line, whatever runs it", () => {
    for (const line of [
      "/opt/bin/flanneld --ip-masq",
      "node /usr/lib/podpath/dist/cmd/podpath.js agent --iface eth0",
      "/usr/bin/node --enable-source-maps /usr/bin/podpath agent",
      "/usr/bin/node /usr/local/bin/flanneld",
    ])
      assert.ok(isDaemonArgv(line.split(" ")), line);
    for (const line of [
      "node /usr/bin/podpath status",
      "vim flanneld.conf",
      "podpath cleanup",
      "node app.js agent",
      "",
    ])
      assert.ok(!isDaemonArgv(line.split(" ")), line);
  });
});
