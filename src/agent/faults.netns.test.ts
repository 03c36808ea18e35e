// What may happen to a running node, on a real kernel: each is put right in under a second, without touching what is
// right. A busy machine may be slow once; the best of a few times is what counts, and what is printed.
import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import { formatVxlanBackendData } from "../formats/flannel/index.ts";
import { formatPrefix, parseMac } from "../formats/netip/index.ts";
import type { RtnlEvent } from "../formats/netlink/index.ts";
import { watchRtnl } from "../kernel/index.ts";
import type { ReadyReport } from "./index.ts";
import { type AgentProcess, TestCluster, type TestNode } from "./testing/cluster.ts";

const skip = process.getuid?.() === 0 ? false : "needs root: it makes network namespaces";
const TIMES = 3;
const AIM_MS = 1000;

/** A peer that is but a lease: node n of 192.168.100.0/24, with a MAC that ends in its number. */
class Peer {
  readonly n: number;
  readonly publicIp: string;
  readonly mac: string;
  constructor(n: number, change: { publicIp?: string; mac?: string } = {}) {
    const hex = n.toString(16).padStart(2, "0");
    this.n = n;
    this.publicIp = change.publicIp ?? `192.168.100.${n}`;
    this.mac = change.mac ?? `02:00:00:00:00:${hex}`;
  }
  get gateway(): string {
    return `10.244.${this.n}.0`;
  }
  get subnet(): string {
    return `${this.gateway}/24`;
  }
  get lease(): [key: string, value: string] {
    const data = JSON.stringify(formatVxlanBackendData({ vni: 1, vtepMac: parseMac(this.mac) }));
    const value = `{"PublicIP":"${this.publicIp}","PublicIPv6":null,"BackendType":"vxlan","BackendData":${data}}`;
    return [`/coreos.com/network/subnets/${this.gateway}-24`, value];
  }
}

/** Route, neighbour and FDB entry as they shall be. */
function reaches(node: TestNode, peer: Pick<Peer, "gateway" | "mac" | "publicIp">): boolean {
  const index = node.rtnl.link("flannel.1")?.index;
  return (
    node.rtnl.routes({ protocol: 112 }).some((r) => r.gateway === peer.gateway && r.oif === index && r.onlink) &&
    node.rtnl.neighbours(index).some((n) => n.address === peer.gateway && n.lladdr === peer.mac && n.state === 128) &&
    node.rtnl
      .fdb(index)
      .filter((f) => f.lladdr === peer.mac)
      .map((f) => f.dst)
      .join() === peer.publicIp
  );
}

/** What an event is about, as it is called in a list of what may be touched. */
function subject(event: RtnlEvent): string {
  switch (event.of) {
    case "link":
      return event.link.name;
    case "address":
      return formatPrefix(event.address.prefix);
    case "route":
      return event.route.dst ? formatPrefix(event.route.dst) : "default";
    case "neighbour":
      return event.neighbour.address;
    case "fdb":
      return event.fdb.lladdr;
    case "nexthop":
      return `nexthop ${event.nexthop.id}`;
  }
}

interface Fault {
  readonly damage: () => unknown;
  readonly isRight: () => boolean;
  /** Subjects of events that the damage and its repair may cause; undefined: any. */
  readonly touches?: readonly (string | RegExp)[];
}

/** Does it a few times; every time the state must be right again, once at least within the aim. */
async function repairs(t: TestContext, node: TestNode, { damage, isRight, touches }: Fault): Promise<void> {
  const took: number[] = [];
  for (let time = 0; time < TIMES; time++) {
    assert.ok(isRight(), "right before the damage");
    const seen = new Set<string>();
    using _watch = watchRtnl(
      node.ns,
      (event) => seen.add(subject(event)),
      () => assert.fail("events were lost"),
    );
    await damage();
    const start = performance.now();
    await node.until("repair", isRight);
    took.push(performance.now() - start);
    // What comes after: echoes, and what should not come.
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(isRight(), "still right");
    const foreign = [...seen].filter((name) => !/^(fe80|ff0|33:33|01:)/.test(name) && !mayTouch(name, touches));
    assert.deepEqual(foreign, [], "touched what was right");
  }
  const best = Math.min(...took);
  t.diagnostic(`${t.name}: right again after ${took.map((ms) => ms.toFixed(0)).join(", ")} ms`);
  assert.ok(best < AIM_MS, `${best} ms`);
}

function mayTouch(name: string, touches: Fault["touches"]): boolean {
  return touches === undefined || touches.some((what) => (typeof what === "string" ? what === name : what.test(name)));
}

describe("a running node puts right", { skip }, () => {
  let cluster: TestCluster;
  let node: TestNode;
  let agent: AgentProcess;
  let report: ReadyReport;
  const [p2, p3, p4] = [new Peer(2), new Peer(3), new Peer(4)];
  const peers = [p2, p3, p4];
  const put = (peer: Peer): Promise<unknown> => cluster.store.put(...peer.lease);
  const allRight = (): boolean => peers.every((peer) => reaches(node, peer)) && foreignIsThere();
  const foreignIsThere = (): boolean =>
    ["10.99.0.0", "10.244.250.0"].every((dst) => node.rtnl.routes().some((r) => r.dst?.address === dst)) &&
    node.rtnl.neighbours().some((n) => n.address === "192.168.100.222" && n.lladdr === "02:00:00:00:02:22");
  /** Everything that lives and dies with flannel.1. */
  const OF_DEVICE = [/^flannel\.1$/, /^10\.244\.[1-9]\.0(\/\d+)?$/, /^02:00:00:00:00:0[234]$/, /^00:00:00:00:00:00$/];
  const own = (): string => report.subnet?.split("/")[0] ?? "";

  before(async () => {
    cluster = await TestCluster.start({
      Network: "10.244.0.0/16",
      SubnetMin: "10.244.1.0",
      SubnetMax: "10.244.1.0",
      Backend: { Type: "vxlan" },
    });
    node = cluster.addNode(1);
    for (const peer of peers) await put(peer);
    node.run("ip route add 10.99.0.0/24 via 192.168.100.99");
    node.run("ip route add 10.244.250.0/24 via 192.168.100.99");
    node.run("ip neigh add 192.168.100.222 lladdr 02:00:00:00:02:22 dev eth0 nud permanent");
    agent = cluster.startAgent(node);
    report = await agent.ready;
    assert.ok(allRight());
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  it("a deleted route", (t) =>
    repairs(t, node, { damage: () => node.run(`ip route del ${p2.subnet}`), isRight: allRight, touches: [p2.subnet] }));

  it("a route that was made to lead elsewhere", (t) =>
    repairs(t, node, {
      damage: () => node.run(`ip route replace ${p2.subnet} via 10.244.3.0 dev flannel.1 onlink`),
      isRight: allRight,
      touches: [p2.subnet],
    }));

  it("a deleted neighbour", (t) =>
    repairs(t, node, {
      damage: () => node.run(`ip neigh del ${p3.gateway} dev flannel.1`),
      isRight: allRight,
      touches: [p3.gateway],
    }));

  it("a deleted FDB entry", (t) =>
    repairs(t, node, {
      damage: () => node.run(`bridge fdb del ${p4.mac} dev flannel.1`),
      isRight: allRight,
      touches: [p4.mac],
    }));

  it("an FDB entry with another destination, or one more", async (t) => {
    const damage = (command: string) => (): string =>
      node.run(`bridge fdb ${command} ${p4.mac} dev flannel.1 dst 192.168.100.99`);
    await repairs(t, node, { damage: damage("replace"), isRight: allRight, touches: [p4.mac] });
    await repairs(t, node, { damage: damage("append"), isRight: allRight, touches: [p4.mac] });
  });

  it("all neighbours, or all FDB entries, at once", async (t) => {
    const touches = peers.flatMap(({ gateway, mac }) => [gateway, mac]);
    const isRight = allRight;
    await repairs(t, node, { damage: () => node.run("ip neigh flush dev flannel.1 nud permanent"), isRight, touches });
    const damage = (): void => {
      for (const { mac } of peers) node.run(`bridge fdb del ${mac} dev flannel.1`);
    };
    await repairs(t, node, { damage, isRight, touches });
  });

  it("the device's address, with which all of its routes go", (t) =>
    repairs(t, node, {
      damage: () => node.run("ip addr flush dev flannel.1"),
      isRight: () => allRight() && node.rtnl.addresses().some(({ prefix }) => prefix.address === own()),
      touches: OF_DEVICE,
    }));

  it("the device that went down", (t) =>
    repairs(t, node, {
      damage: () => node.run("ip link set flannel.1 down"),
      isRight: () => allRight() && node.rtnl.link("flannel.1")?.isUp === true,
      touches: OF_DEVICE,
    }));

  it("the device that flapped", (t) =>
    repairs(t, node, {
      damage: () => {
        node.run("ip link set flannel.1 down");
        node.run("ip link set flannel.1 up");
      },
      isRight: allRight,
      touches: OF_DEVICE,
    }));

  it("the device's MAC and MTU", (t) => {
    const mac = node.rtnl.link("flannel.1")?.address;
    return repairs(t, node, {
      damage: () => node.run("ip link set flannel.1 address 02:00:00:00:00:99 mtu 1300"),
      isRight: () => {
        const link = node.rtnl.link("flannel.1");
        return allRight() && link?.address === mac && link?.mtu === 1450;
      },
      // The kernel itself forgets the neighbours of a device whose MAC changes.
      touches: ["flannel.1", ...peers.map(({ gateway }) => gateway), own(), `${own()}/32`],
    });
  });

  it("the device that was deleted, with the same MAC", (t) => {
    const mac = node.rtnl.link("flannel.1")?.address;
    return repairs(t, node, {
      damage: () => node.run("ip link del flannel.1"),
      isRight: () => allRight() && node.rtnl.link("flannel.1")?.address === mac,
      // Whose headroom the kernel sets anew.
      touches: [...OF_DEVICE, mac ?? "", "eth0"],
    });
  });

  it("the device that somebody replaced by one of another kind", (t) =>
    repairs(t, node, {
      damage: () => {
        // Else it would be there again before the other is.
        agent.child.kill("SIGSTOP");
        node.run("ip link del flannel.1");
        node.run("ip link add flannel.1 type bridge");
        agent.child.kill("SIGCONT");
      },
      isRight: () => allRight() && node.rtnl.link("flannel.1")?.kind?.kind === "vxlan",
    }));

  it("the ruleset that was flushed", async (t) => {
    const took: number[] = [];
    for (let time = 0; time < TIMES; time++) {
      node.run("nft flush ruleset");
      const start = performance.now();
      await node.untilNft("Flannel's table", (nft) => JSON.stringify(nft.list("list tables")).includes("flannel-ipv4"));
      took.push(performance.now() - start);
    }
    t.diagnostic(`the ruleset that was flushed: there again after ${took.map((ms) => ms.toFixed(0)).join(", ")} ms`);
    assert.ok(Math.min(...took) < AIM_MS);
    assert.match(node.run("nft list table ip flannel-ipv4"), /chain postrtg.*masquerade.*chain forward/s);
  });

  it("the interface that went down and came up", (t) =>
    repairs(t, node, {
      damage: () => {
        node.run("ip link set eth0 down");
        node.run("ip link set eth0 up");
        // The kernel drops these with the link; they are not ours to bring back.
        node.run("ip route add default via 192.168.100.1");
        node.run("ip route add 10.99.0.0/24 via 192.168.100.99");
        node.run("ip route add 10.244.250.0/24 via 192.168.100.99");
        node.run("ip neigh replace 192.168.100.222 lladdr 02:00:00:00:02:22 dev eth0 nud permanent");
      },
      isRight: allRight,
    }));

  it("a peer that came, changed its address, its MAC, or went, and no other", async (t) => {
    const p6 = new Peer(6);
    const variants = [new Peer(6, { publicIp: "192.168.100.66" }), new Peer(6, { mac: "02:00:00:00:00:16" }), p6];
    const touches = [p6.subnet, p6.gateway, p6.mac, "02:00:00:00:00:16"];
    const gone = (): boolean => !node.rtnl.routes().some((r) => r.dst?.address === p6.gateway);
    let now = p6;
    for (const next of [p6, ...variants]) {
      const start = performance.now();
      const seen = new Set<string>();
      using _watch = watchRtnl(
        node.ns,
        (event) => seen.add(subject(event)),
        () => {},
      );
      await put(next);
      await node.until("peer", () => reaches(node, next));
      t.diagnostic(`a peer that came or changed: usable after ${(performance.now() - start).toFixed(1)} ms`);
      const others = [...seen].filter((name) => !mayTouch(name, touches));
      assert.deepEqual(others, []);
      now = next;
    }
    assert.ok(!node.rtnl.fdb().some((f) => f.lladdr === "02:00:00:00:00:16"), "the old MAC is forgotten");
    await cluster.store.delete(now.lease[0]);
    await node.until("peer gone", gone);
    assert.ok(allRight());
  });

  it("what came, changed and went while no agent ran", async () => {
    const [p6, p7] = [new Peer(6), new Peer(7)];
    await put(p6);
    await node.until("p6", () => reaches(node, p6));
    await agent.kill("SIGKILL");
    await cluster.store.delete(p6.lease[0]);
    await put(p7);
    await put(new Peer(2, { publicIp: "192.168.100.92", mac: "02:00:00:00:00:92" }));
    await put(new Peer(3, { publicIp: "192.168.100.93" }));
    const before = node.run("ip -o neigh show to 10.244.4.0");
    agent = cluster.startAgent(node);
    await agent.ready;
    assert.ok(reaches(node, p7) && reaches(node, p4));
    assert.ok(reaches(node, new Peer(2, { publicIp: "192.168.100.92", mac: "02:00:00:00:00:92" })));
    assert.ok(reaches(node, new Peer(3, { publicIp: "192.168.100.93" })));
    assert.ok(!node.rtnl.fdb().some((f) => f.lladdr === p6.mac || f.lladdr === p2.mac), "old MACs are forgotten");
    assert.ok(!node.rtnl.routes().some((r) => r.dst?.address === p6.gateway));
    assert.equal(node.run("ip -o neigh show to 10.244.4.0"), before);
    assert.ok(foreignIsThere());
    const { changes } = (await agent.status()).datapath;
    // p7: 3; p2: neighbour, FDB entry and the old one; p3: FDB entry; p6: 3.
    assert.equal(changes, 10);
    for (const peer of [p2, p3]) await put(peer);
    await cluster.store.delete(p7.lease[0]);
    await node.until("as before", allRight);
  });

  it("other peers at once while one cannot be programmed, and that one when it can", async (t) => {
    const [bad, p8] = [new Peer(5), new Peer(8)];
    // A gateway that is the node's own address is none: the kernel refuses the route.
    node.run(`ip addr add ${bad.gateway}/32 dev eth0`);
    await put(bad);
    await agent.logged(`cannot program peer ${bad.subnet}`);
    await repairs(t, node, { damage: () => node.run(`ip route del ${p2.subnet}`), isRight: allRight });
    const start = performance.now();
    await put(p8);
    await node.until("another peer", () => reaches(node, p8));
    t.diagnostic(`another peer beside one that fails: ${(performance.now() - start).toFixed(1)} ms`);
    node.run(`ip addr del ${bad.gateway}/32 dev eth0`);
    await node.until("the one that failed", () => reaches(node, bad));
    for (const peer of [bad, p8]) await cluster.store.delete(peer.lease[0]);
  });
});
