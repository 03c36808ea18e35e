import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { NodeStatus, ReadyReport } from "../index.ts";
import { type AgentProcess, TestCluster, type TestNode } from "../testing/cluster.ts";

const skip = process.getuid?.() === 0 ? false : "needs root: it makes network namespaces";

describe("podpath status", { skip }, () => {
  let cluster: TestCluster;
  let [one, two] = [] as unknown as [TestNode, TestNode];
  let [agentOne, agentTwo] = [] as unknown as [AgentProcess, AgentProcess];
  let [reportOne, reportTwo] = [] as unknown as [ReadyReport, ReadyReport];

  before(async () => {
    cluster = await TestCluster.start();
    [one, two] = [cluster.addNode(1), cluster.addNode(2)];
    agentOne = cluster.startAgent(one, "--etcd-username=", "--etcd-password=");
    agentTwo = cluster.startAgent(two);
    [reportOne, reportTwo] = await Promise.all([agentOne.ready, agentTwo.ready]);
    await one.until("node2", () => one.rtnl.routes({ protocol: 112 }).length === 1);
    await one.untilNft("the gateway", (nft) => JSON.stringify(nft.list("list tables")).includes("podpath-gateway"));
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  /** With nothing but the place of subnet.env: the rest is known of the agent that was started here. */
  async function look(...args: string[]): Promise<{ code: number | null; status: NodeStatus }> {
    const { code, stdout, stderr } = await cluster.podpath(
      one,
      "status",
      "--json",
      `--subnet-file=${one.subnetFile}`,
      ...args,
    );
    assert.equal(stderr, "");
    return { code, status: JSON.parse(stdout) as NodeStatus };
  }

  const wrongIn = ({ checks }: NodeStatus): string[] =>
    checks.filter(({ verdict }) => verdict !== "ok").map(({ of, verdict, why }) => `${verdict}: ${of}: ${why}`);

  function assertAllIsWell({ code, status }: Awaited<ReturnType<typeof look>>): void {
    assert.deepEqual(wrongIn(status), []);
    assert.equal(code, 0);
    const { subnet, publicIp, route, neighbour, fdb } = status.peers[0] ?? {};
    assert.deepEqual([subnet, publicIp, route, neighbour, fdb], [reportTwo.subnet, "192.168.100.12", "ok", "ok", "ok"]);
    assert.equal(status.peers[0]?.vtepMac, two.rtnl.link("flannel.1")?.address);
    assert.equal(status.lease?.subnet, reportOne.subnet);
    assert.ok(Date.parse(status.lease?.expiresAt ?? "") > Date.now());
    assert.deepEqual([status.backend, status.devices, status.interface], ["vxlan", ["flannel.1"], "eth0"]);
  }

  it("asks the running agent", async () => {
    const asked = await look();
    assertAllIsWell(asked);
    assert.deepEqual([asked.status.seenBy, asked.status.agent.pid], ["agent", agentOne.child.pid]);
  });

  it("sees the same by itself", async () => {
    const seen = await look("--no-agent");
    assertAllIsWell(seen);
    assert.equal(seen.status.seenBy, "status");
  });

  it("lets nobody but root ask, and keeps no password", () => {
    const folder = join(one.subnetFile, "..");
    assert.equal(statSync(join(folder, "podpath-agent.sock")).mode & 0o777, 0o600);
    assert.equal(statSync(join(folder, "podpath-agent.json")).mode & 0o777, 0o600);
    assert.doesNotMatch(readFileSync(join(folder, "podpath-agent.json"), "utf8"), /password/i);
  });

  it("tells of an agent that does not answer, and looks by itself", async () => {
    agentOne.child.kill("SIGSTOP");
    try {
      const seen = await look();
      assertAllIsWell(seen);
      assert.deepEqual(seen.status.agent, { state: "silent", pid: agentOne.child.pid });
    } finally {
      agentOne.child.kill("SIGCONT");
    }
  });

  it("works without an agent, and tells every difference in its own cell", async () => {
    await agentOne.kill("SIGKILL");
    const seen = await look();
    assertAllIsWell(seen);
    assert.deepEqual(seen.status.agent, { state: "not running" });

    const peer = reportTwo.subnet?.split("/")[0];
    const mac = two.rtnl.link("flannel.1")?.address;
    const breakings: [command: string, column: "route" | "neighbour" | "fdb", cell: RegExp][] = [
      [`ip route del ${reportTwo.subnet}`, "route", /^missing$/],
      [
        `ip route add ${reportTwo.subnet} via 192.168.100.1 dev eth0 proto 112`,
        "route",
        /^leads elsewhere: via 192\.168\.100\.1 dev eth0 proto 112$/,
      ],
      [`ip neigh change ${peer} lladdr 02:00:00:00:00:09 dev flannel.1`, "neighbour", /^has MAC 02:00:00:00:00:09$/],
      [`ip neigh del ${peer} dev flannel.1`, "neighbour", /^missing$/],
      [`bridge fdb replace ${mac} dev flannel.1 dst 192.168.100.77`, "fdb", /^leads to 192\.168\.100\.77$/],
      [`bridge fdb del ${mac} dev flannel.1`, "fdb", /^missing$/],
    ];
    for (const [command, column, cell] of breakings) {
      one.run(command);
      const { code, status } = await look();
      assert.equal(code, 1, command);
      assert.match(status.peers[0]?.[column] ?? "", cell, command);
    }
  });

  it("tells what of the node itself is wrong", async () => {
    one.run("nft add chain ip flannel-ipv4 intruder");
    one.run("nft delete table ip podpath-gateway");
    one.run("sysctl -q -w net.ipv4.ip_forward=0");
    one.run("ip link set flannel.1 mtu 1300 down");
    one.run("ip route add 10.244.77.0/24 dev eth0 proto 112");
    const { code, status } = await look();
    assert.equal(code, 1);
    const wrong = wrongIn(status).join("\n");
    for (const part of [
      /masquerade and forward rules: table ip flannel-ipv4 was changed/,
      /gateway rules: no table ip podpath-gateway/,
      /net\.ipv4\.ip_forward: it is 0, not 1/,
      /device: the MTU of flannel\.1 is 1300, not 1450/,
      /device flannel\.1: it is down/,
    ])
      assert.match(wrong, part);
    assert.deepEqual(status.stale, ["route 10.244.77.0/24"]);
  });

  it("says so when a foreign route is in the way, and shows it all as a table", async () => {
    one.run(`ip route replace ${reportTwo.subnet} via 192.168.100.1 dev eth0 proto static`);
    const { code, stdout } = await cluster.podpath(one, "status", `--subnet-file=${one.subnetFile}`);
    assert.equal(code, 1);
    assert.match(stdout, /^agent +NOT RUNNING/m);
    assert.match(stdout, /^SUBNET +PUBLIC IP +VTEP MAC +ROUTE +NEIGHBOUR +FDB$/m);
    assert.match(stdout, /delete it with: ip route del/);
    assert.match(stdout, /DRIFT: \d+ /);
    one.run(`ip route del ${reportTwo.subnet} proto static`);
  });

  it("is content again when the agent has repaired it", async () => {
    agentOne = cluster.startAgent(one);
    await agentOne.ready;
    await one.untilNft("the gateway", (nft) => JSON.stringify(nft.list("list tables")).includes("podpath-gateway"));
    assertAllIsWell(await look("--no-agent"));
  });

  it("judges by the agent's leases while the store is away, and cannot tell without both", async () => {
    await cluster.stopStore();
    const asked = await look();
    assert.deepEqual([asked.code, asked.status.seenBy, asked.status.peers[0]?.route], [0, "agent", "ok"]);
    await agentOne.kill("SIGKILL");
    const { code, status } = await look();
    assert.equal(code, 2);
    assert.match(wrongIn(status).join(), /unknown: leases: Cannot .*store\.sock/);
    await cluster.startStore();
  });

  it("refuses a flag that nobody has", async () => {
    const { code, stderr } = await cluster.podpath(one, "status", "--jsn");
    assert.deepEqual([code, stderr], [1, "podpath: unknown flag --jsn; --help lists all there are\n"]);
  });
});
