import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Traffic } from "../backend/index.ts";
import { isIpv4 } from "../formats/netip/index.ts";
import { writeSysctl } from "../kernel/index.ts";
import type { ReadyReport } from "./index.ts";
import { type AgentProcess, TestCluster, type TestNode } from "./testing/cluster.ts";
import { startFlanneld, whyNoFlanneld } from "./testing/flanneld.ts";
import { Flow } from "./testing/flow.ts";
import { hashThrough, numberedDatagrams } from "./testing/load.ts";

const skip =
  process.getuid?.() === 0 && existsSync("/dev/net/tun") ? false : "needs root and /dev/net/tun: it makes TUN devices";

/** The counters, once they have come to rest. */
async function atRest(agent: AgentProcess): Promise<Traffic> {
  let last: string | undefined;
  for (;;) {
    const { traffic } = await agent.status();
    assert.ok(traffic);
    if (JSON.stringify(traffic) === last) return traffic;
    last = JSON.stringify(traffic);
    // The forwarder tells of changes every 100 ms.
    await delay(300);
  }
}

/** Without the IPv6 that the kernel itself says on every device. */
function dropsOf({ drops }: Traffic, way: "tx" | "rx"): number {
  return Object.entries(drops).reduce(
    (sum, [reason, count]) => sum + (reason.startsWith(way) && reason !== "tx-ipv6" ? count : 0),
    0,
  );
}

/** Packets for which the device's own queue had no room, or nobody to read it. */
function queueDrops(node: TestNode): number {
  const [link] = node.json("ip -j -s link show flannel0") as [{ stats64: { tx: { dropped: number } } }];
  return link.stats64.tx.dropped;
}

/** The process that the agent said it had last. */
function forwarderPid(agent: AgentProcess): number {
  const said = agent
    .log()
    .split("\n")
    .findLast((line) => line.includes("the udp forwarder carries packets"));
  const { pid } = JSON.parse(said ?? "{}");
  assert.match(readFileSync(`/proc/${pid}/cmdline`, "latin1"), /podpath-udp|forwarder/);
  return pid;
}

describe("agents with the udp backend", { skip }, () => {
  let cluster: TestCluster;
  let [one, two, three] = [] as unknown as [TestNode, TestNode, TestNode];
  const agents: AgentProcess[] = [];
  /** flannel0's addresses: the first of the subnets. */
  let [atOne, atTwo, atThree] = ["", "", ""];
  let reports: readonly ReadyReport[] = [];
  const agent = (n: number): AgentProcess => agents[n] as AgentProcess;

  before(async () => {
    // Without a Backend Flannel's is udp.
    cluster = await TestCluster.start({ Network: "10.244.0.0/16" });
    [one, two, three] = [cluster.addNode(1), cluster.addNode(2), cluster.addNode(3)];
    agents.push(...[one, two, three].map((node) => cluster.startAgent(node)));
    reports = await Promise.all(agents.map(({ ready }) => ready));
    [atOne = "", atTwo = "", atThree = ""] = reports.map(({ subnet = "" }) => subnet.replace("/24", ""));
    for (const each of agents) while ((await each.status()).datapath.peers < 2) await delay(20);
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  it("have Flannel's device, address, route, port and lease", async () => {
    assert.equal(one.rtnl.link("flannel0")?.mtu, 1472);
    assert.match(one.run("ip -4 addr show flannel0"), new RegExp(`inet ${atOne}/32 scope global flannel0`));
    assert.match(one.run("ip route show 10.244.0.0/16"), /^10\.244\.0\.0\/16 dev flannel0 proto 112/);
    const key = `/coreos.com/network/subnets/${reports[0]?.subnet?.replace("/", "-")}`;
    assert.equal((await cluster.store.get(key))?.valueText, '{"PublicIP":"192.168.100.11","PublicIPv6":null}');
  });

  it("carry pings, small and of many fragments, two hops away", () => {
    for (const [from, to] of [
      [one, atTwo],
      [one, atThree],
      [three, atTwo],
    ] as const)
      for (const size of [0, 56, 1444, 1445, 20_000]) {
        const said = from.run(`busybox ping -c 1 -W 5 -s ${size} ${to}`);
        assert.match(said, /1 packets received/);
        if (size > 0) assert.match(said, /ttl=62/);
      }
  });

  it("carry a gigabyte of TCP without changing a byte", async () => {
    const { sent, received } = await hashThrough(one.ns, two.ns, atTwo, 1 << 30);
    assert.match(received, /^[0-9a-f]{64}$/);
    assert.equal(received, sent);
    const { drops } = await atRest(agent(1));
    assert.deepEqual(
      Object.keys(drops).filter((reason) => reason.includes("malformed")),
      [],
    );
  });

  it("reorder no flow, damage nothing, and account for each datagram of an overload", async () => {
    const atBoth = (): Promise<[Traffic, Traffic]> => Promise.all([atRest(agent(0)), atRest(agent(1))]);
    const [tx, rx, queue] = [...(await atBoth()), queueDrops(one)] as const;
    const load = { flows: 3, each: 20_000 };
    const { sent, flows } = await numberedDatagrams(one.ns, two.ns, atTwo, load, atBoth);
    const [txNow, rxNow] = await atBoth();
    assert.equal(flows.length, 3);
    for (const { reordered, damaged } of flows) assert.deepEqual({ reordered, damaged }, { reordered: 0, damaged: 0 });
    const carried = txNow.packets.tx - tx.packets.tx;
    const given = carried + dropsOf(txNow, "tx") - dropsOf(tx, "tx") + queueDrops(one) - queue;
    assert.equal(given, sent, "what node1 was given went on or was counted");
    const arrived = rxNow.packets.rx - rx.packets.rx + dropsOf(rxNow, "rx") - dropsOf(rx, "rx");
    assert.equal(arrived, carried, "and all that it sent arrived or was counted");
  });

  it("tell the sender that nobody has an address", async () => {
    const before = (await atRest(agent(0))).drops["tx-no-route"] ?? 0;
    // The answer comes, as Flannel's does, from flannel0's own address, which Linux takes for a martian otherwise.
    writeSysctl("net/ipv4/conf/flannel0/accept_local", 1, one.ns);
    const program =
      'require("node:net").connect(9, "10.244.255.1").on("error", ({ code }) => { console.log(code); process.exit(); })';
    const child = cluster.spawn(one, process.execPath, ["-e", program]);
    const [said] = await new Promise<[string]>((resolve) => {
      child.stdout?.once("data", (data) => resolve([String(data).trim()]));
    });
    assert.equal(said, "ENETUNREACH");
    assert.ok(((await atRest(agent(0))).drops["tx-no-route"] ?? 0) > before);
  });

  it("drop what no node of the cluster would send, counted by reason, and never stumble", async () => {
    const packet = (from: string, to: string, ttl = 9): string => {
      const bytes = Buffer.alloc(28);
      bytes.set([
        0x45,
        0,
        0,
        28,
        0,
        0,
        0,
        0,
        ttl,
        17,
        0,
        0,
        ...from.split(".").map(Number),
        ...to.split(".").map(Number),
      ]);
      return bytes.toString("hex");
    };
    const short = packet(atOne, atTwo).slice(0, 38);
    const sent: [reason: string, hex: string][] = [
      ["rx-malformed-short", short],
      ["rx-malformed-short", ""],
      ["rx-malformed-version", `05${packet(atOne, atTwo).slice(2)}`],
      ["rx-malformed-header-length", `44${packet(atOne, atTwo).slice(2)}`],
      ["rx-malformed-total-length", packet(atOne, atTwo).slice(0, -2)],
      ["rx-ipv6", `60${packet(atOne, atTwo).slice(2)}`],
      ["rx-not-for-us", packet(atOne, "192.168.100.11")],
      ["rx-from-us", packet(atTwo, atTwo)],
      ["rx-ttl", packet(atOne, atTwo, 1)],
    ];
    const { drops: before } = await atRest(agent(1));
    const program = `
      const socket = require("node:dgram").createSocket("udp4");
      let waiting = ${sent.length};
      for (const hex of ${JSON.stringify(sent.map(([, hex]) => hex))})
        socket.send(Buffer.from(hex, "hex"), 8285, "${two.address}", () => --waiting === 0 && socket.close());`;
    const sender = cluster.spawn(one, process.execPath, ["-e", program]);
    assert.equal(await new Promise((resolve) => sender.once("exit", resolve)), 0);
    const { drops: now } = await atRest(agent(1));
    const counted = Object.keys(now)
      .filter((reason) => reason.startsWith("rx"))
      .flatMap((reason) => new Array((now[reason] ?? 0) - (before[reason] ?? 0)).fill(reason));
    assert.deepEqual(counted.sort(), sent.map(([reason]) => reason).sort());
  });

  it("go on while no agent runs, and are found again by the next one", async () => {
    // Not TCP's retransmissions: on a busy machine a packet may come late, which is no loss.
    const lost = async (): Promise<number[]> => [
      ...[queueDrops(one), queueDrops(two)],
      ...[dropsOf(await atRest(agent(0)), "tx"), dropsOf(await atRest(agent(0)), "rx")],
    ];
    const [pid, before] = [forwarderPid(agent(0)), await lost()];
    await using flow = await Flow.open(one.ns, two.ns, atTwo);
    await flow.more(20);
    for (const signal of ["SIGKILL", "SIGTERM"] as const) {
      await agent(0).kill(signal);
      await flow.more(50);
      agents[0] = cluster.startAgent(one);
      assert.equal((await agent(0).ready).subnet, reports[0]?.subnet);
      await flow.more(20);
      assert.equal(forwarderPid(agent(0)), pid);
      assert.equal((await agent(0).status()).datapath.changes, 0);
    }
    await flow[Symbol.asyncDispose]();
    assert.deepEqual(await lost(), before);
  });

  it("let the forwarder rest when there is neither an agent nor a packet", async () => {
    const pid = forwarderPid(agent(0));
    // utime and stime, in ticks of 10 ms.
    const ticks = (): number => {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return Number(fields[11]) + Number(fields[12]);
    };
    await using flow = await Flow.open(one.ns, two.ns, atTwo);
    await flow.more(20);
    // It finds out that the agent has gone while it has something to tell.
    await agent(0).kill("SIGKILL");
    await flow.more(50);
    await flow[Symbol.asyncDispose]();
    await delay(300);
    const before = ticks();
    await delay(700);
    assert.ok(ticks() - before <= 5, `${ticks() - before} ticks in 700 ms`);
    agents[0] = cluster.startAgent(one);
    await agent(0).ready;
  });

  it("carry an established flow on when the forwarder is killed, the device taken down, and deleted", async () => {
    await using flow = await Flow.open(one.ns, two.ns, atTwo);
    await flow.more(20);
    const pid = forwarderPid(agent(0));
    process.kill(pid, "SIGKILL");
    await flow.more(50);
    assert.notEqual(forwarderPid(agent(0)), pid);
    one.run("ip link set flannel0 down");
    await flow.more(50);
    one.run("ip link del flannel0");
    await flow.more(50);
    assert.match(one.run("ip route show 10.244.0.0/16"), /dev flannel0 proto 112/);
  });

  it("end the forwarder with the device, when nobody is there to make it again", async () => {
    const pid = forwarderPid(agent(2));
    await agent(2).kill("SIGKILL");
    three.run("ip link del flannel0");
    while (existsSync(`/proc/${pid}/fd/0`)) await delay(20);
  });

  it("say what is in the way: another process's port, another kind of device", async () => {
    const four = cluster.addNode(4);
    const holder = cluster.spawn(four, process.execPath, [
      "-e",
      'const s = require("node:dgram").createSocket("udp4"); s.bind(8285, () => console.log("bound"));',
    ]);
    await new Promise((resolve) => holder.stdout?.once("data", resolve));
    const refused = cluster.startAgent(four);
    assert.deepEqual(await refused.exit, { code: 1, signal: null });
    assert.match(refused.log(), /Cannot listen on UDP 192\.168\.100\.14:8285: .*EADDRINUSE/);
    assert.equal(four.rtnl.link("flannel0"), undefined, "a start that failed leaves nothing");
    holder.kill();
    four.run("ip link add flannel0 type veth peer name other");
    const refusedAgain = cluster.startAgent(four);
    assert.deepEqual(await refusedAgain.exit, { code: 1, signal: null });
    assert.match(refusedAgain.log(), /flannel0: it is no TUN device but veth; delete it with: ip link del flannel0/);
  });
});

describe("an agent with the udp backend beside Flannel's daemon", { skip: skip || whyNoFlanneld() }, () => {
  it("exchanges pings, fragments and 100 MiB of TCP with it, in both directions", async () => {
    await using cluster = await TestCluster.start({ Network: "10.244.0.0/16", Backend: { Type: "udp" } });
    const [ours, flannels] = [cluster.addNode(1), cluster.addNode(2)];
    const agent = cluster.startAgent(ours);
    await Promise.all([agent.ready, startFlanneld(cluster, flannels).ready]);
    const addressOf = (node: TestNode): string | undefined => {
      const index = node.rtnl.link("flannel0")?.index;
      return node.rtnl.addresses().find((a) => a.index === index && isIpv4(a.prefix.address))?.prefix.address;
    };
    await flannels.until("flannel0's address", () => addressOf(flannels) !== undefined);
    while ((await agent.status()).datapath.peers < 1) await delay(20);
    const [atOurs = "", atFlannels = ""] = [addressOf(ours), addressOf(flannels)];
    for (const size of [56, 1444, 1445, 20_000]) {
      const said = ours.run(`busybox ping -c 1 -W 5 -s ${size} ${atFlannels}`);
      assert.match(said, /ttl=62.*1 packets received/s);
    }
    for (const [from, to, address] of [
      [ours, flannels, atFlannels],
      [flannels, ours, atOurs],
    ] as const) {
      const { sent, received } = await hashThrough(from.ns, to.ns, address, 100 << 20);
      assert.equal(received, sent);
    }
    assert.equal(dropsOf(await atRest(agent), "rx"), 0);
  });
});
