// The kernel's answers to `ip` and `bridge`, and what these two make of them: ours must be the same.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { formatPrefix } from "../../netip/index.ts";
import * as nl from "../index.ts";

// biome-ignore lint/suspicious/noExplicitAny: what `ip -j -d` prints has no schema
type Says = any;
const file = new URL("../../../../testdata/netlink/replies.json", import.meta.url);
const recorded: { command: string; hex: string[]; says: Says[] }[] = JSON.parse(readFileSync(file, "utf8")).replies;

function reply(command: string): { messages: nl.Message[]; says: Says[] } {
  const entry = recorded.find((reply) => reply.command === command);
  assert.ok(entry && entry.says.length > 0 && entry.hex.length > 0, `${command} is not recorded`);
  const messages = entry.hex.flatMap((hex) => nl.decodeMessages(Uint8Array.from(Buffer.from(hex, "hex"))));
  return { messages, says: entry.says.filter((object) => Object.keys(object).length > 0) };
}

const names = new Map<number, string>();
for (const message of reply("ip link show").messages)
  if (message.type === nl.RTM_NEWLINK) {
    const { index, name } = nl.decodeLink(message);
    names.set(index, name);
  }

test("decodeLink() reads what ip -d link prints", () => {
  const { messages, says } = reply("ip link show");
  const links = messages.filter(({ type }) => type === nl.RTM_NEWLINK).map((message) => nl.decodeLink(message));
  assert.deepEqual(
    links.map((link) => [link.index, link.name, link.mtu, link.operState, link.address, names.get(link.master ?? 0)]),
    says.map((link) => [link.ifindex, link.ifname, link.mtu, link.operstate, link.address, link.master]),
  );
  for (const [i, link] of links.entries()) {
    assert.equal(link.isUp, says[i].flags.includes("UP"));
    assert.equal(link.promiscuity, says[i].promiscuity);
    assert.equal(link.txQueueLength, says[i].txqlen);
    assert.equal(link.kind?.kind, says[i].linkinfo?.info_kind);
    // A veth's peer: `ip` prints its name as `link`, or the index when it is in another namespace.
    if (says[i].link) assert.equal(names.get(link.link ?? 0), says[i].link);
    assert.equal("stats" in link, false, "no counters unless asked for");
  }
  const linkinfo = (name: string): Says => says.find((link) => link.ifname === name)?.linkinfo;
  const kind = (name: string): nl.LinkKind | undefined => links.find((link) => link.name === name)?.kind;

  for (const name of ["flannel.1", "flannel.7"]) {
    const vxlan = kind(name);
    const said = linkinfo(name).info_data;
    assert.ok(vxlan?.kind === "vxlan");
    assert.deepEqual(
      [vxlan.id, vxlan.local, vxlan.group, names.get(vxlan.link ?? 0), vxlan.port, vxlan.learning, vxlan.gbp],
      [
        said.id,
        said.local ?? said.local6,
        said.remote ?? said.remote6,
        said.link,
        said.port,
        said.learning,
        !!said.gbp,
      ],
    );
    assert.deepEqual(
      [vxlan.udpCsum, vxlan.udpZeroCsum6Tx, vxlan.udpZeroCsum6Rx, vxlan.ttl, vxlan.tos, vxlan.ageingSeconds],
      [
        said.udp_csum,
        said.udp_zero_csum6_tx,
        said.udp_zero_csum6_rx,
        said.ttl ?? 0,
        Number(said.tos ?? 0),
        said.ageing,
      ],
    );
    assert.deepEqual(vxlan.portRange, [said.port_range.low, said.port_range.high]);
  }
  assert.deepEqual(kind("flannel.1"), {
    kind: "vxlan",
    id: 1,
    local: "192.168.100.11",
    link: 12,
    port: 8472,
    learning: false,
    udpCsum: false,
    udpZeroCsum6Tx: false,
    udpZeroCsum6Rx: false,
    gbp: false,
    ttl: 0,
    tos: 0,
    ageingSeconds: 300,
    portRange: [0, 0],
    proxy: false,
    rsc: false,
    l2miss: false,
    l3miss: false,
  });

  const bridge = kind("cni0");
  const said = linkinfo("cni0").info_data;
  assert.ok(bridge?.kind === "bridge");
  assert.deepEqual(
    [bridge.stp, bridge.ageingSeconds, bridge.forwardDelaySeconds, bridge.multicastSnooping, bridge.vlanFiltering],
    [said.stp_state === 1, said.ageing_time / 100, said.forward_delay / 100, !!said.mcast_snooping, false],
  );
  const port = links.find((link) => link.name === "veth1")?.bridgePort;
  const slave = linkinfo("veth1").info_slave_data;
  assert.deepEqual(
    [port?.hairpin, port?.isolated, port?.learning, port?.unicastFlood, port?.guard, port?.cost, port?.priority],
    [slave.hairpin, slave.isolated, slave.learning, slave.flood, slave.guard, slave.cost, slave.priority],
  );
});

test("decodeLink() reads the counters when asked", () => {
  const { messages } = reply("ip link show");
  const eth0 = messages
    .filter(({ type }) => type === nl.RTM_NEWLINK)
    .map((message) => nl.decodeLink(message, { stats: true }))
    .find((link) => link.name === "eth0");
  assert.ok(eth0?.stats);
  assert.ok(eth0.stats.txPackets > 0n && eth0.stats.txBytes > eth0.stats.txPackets);
});

test("decodeAddress() reads what ip addr prints", () => {
  const { messages, says } = reply("ip addr show");
  const addresses = messages.filter(({ type }) => type === nl.RTM_NEWADDR).map(nl.decodeAddress);
  const ours = addresses.map((a) => [names.get(a.index), formatPrefix(a.prefix), a.broadcast, a.label]);
  const theirs = says.flatMap((link) =>
    link.addr_info.map((a: Says) => [link.ifname, `${a.local}/${a.prefixlen}`, a.broadcast, a.label]),
  );
  assert.deepEqual(ours.map(String).sort(), theirs.map(String).sort());
  assert.ok(ours.length >= 5);
});

test("decodeRoute() reads what ip route prints, in both families and all tables", () => {
  const TABLES = new Map([[nl.RT_TABLE_MAIN, "main"]]).set(nl.RT_TABLE_LOCAL, "local");
  const TYPES = ["", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole"];
  for (const [family, command] of [
    [4, "ip -4 route show table all"],
    [6, "ip -6 route show table all"],
  ] as const) {
    const { messages, says } = reply(command);
    const routes = messages.filter(({ type }) => type === nl.RTM_NEWROUTE).map(nl.decodeRoute);
    const ours = routes.map((route) => {
      const dst = route.dst === undefined ? "default" : formatPrefix(route.dst);
      const table = TABLES.get(route.table) ?? String(route.table);
      const dev = names.get(route.oif ?? 0);
      return [
        dst,
        route.gateway,
        dev,
        table,
        TYPES[route.type],
        route.prefSrc,
        route.nexthopId,
        route.mtu,
        route.onlink,
      ];
    });
    const theirs = says.map((route) => {
      const host = route.dst === "default" || route.dst.includes("/") ? "" : `/${family === 4 ? 32 : 128}`;
      const table = route.table ?? "main";
      const gateway = route.gateway ?? route.via?.host;
      const mtu = route.metrics?.[0]?.mtu;
      const onlink = route.flags.includes("onlink");
      return [`${route.dst}${host}`, gateway, route.dev, table, route.type, route.prefsrc, route.nhid, mtu, onlink];
    });
    assert.deepEqual(ours, theirs);
  }
});

test("decodeRoute() reads multipath routes", () => {
  const { messages, says } = reply("ip -4 route show table all");
  const routes = messages.filter(({ type }) => type === nl.RTM_NEWROUTE).map(nl.decodeRoute);
  const said = says.find((route) => route.nexthops);
  const ours = routes.find((route) => route.multipath);
  assert.deepEqual(
    ours?.multipath?.map((hop) => [hop.gateway, names.get(hop.oif), hop.weight, hop.onlink]),
    said.nexthops.map((hop: Says) => [hop.gateway, hop.dev, hop.weight, hop.flags.includes("onlink")]),
  );
  assert.equal(ours?.multipath?.length, 2);
});

test("decodeNeighbour() reads what ip neigh prints", () => {
  const { messages, says } = reply("ip neigh show nud all");
  const neighbours = messages.filter(({ type }) => type === nl.RTM_NEWNEIGH).map(nl.decodeNeighbour);
  assert.deepEqual(
    neighbours.map((n) => [n.address, names.get(n.index), n.lladdr]),
    says.map((n) => [n.dst, n.dev, n.lladdr]),
  );
  const peer = neighbours.find(({ address }) => address === "10.244.2.0");
  assert.equal(peer?.state, nl.NUD_PERMANENT);
});

test("decodeFdb() reads what bridge fdb prints", () => {
  const { messages, says } = reply("bridge fdb show");
  const entries = messages.filter(({ type }) => type === nl.RTM_NEWNEIGH).map(nl.decodeFdb);
  assert.deepEqual(
    entries.map((e) => [e.lladdr, names.get(e.index), e.dst, (e.flags & nl.NTF_SELF) !== 0, names.get(e.master ?? 0)]),
    says.map((e) => [e.mac, e.ifname, e.dst, e.flags.includes("self"), e.master]),
  );
});

test("decodeNexthop() reads what ip nexthop prints", () => {
  const { messages, says } = reply("ip nexthop show");
  const nexthops = messages.filter(({ type }) => type === nl.RTM_NEWNEXTHOP).map(nl.decodeNexthop);
  assert.deepEqual(
    nexthops.map((n) => [n.id, n.gateway, names.get(n.oif ?? 0), n.onlink]),
    says.map((n) => [n.id, n.gateway, n.dev, n.flags.includes("onlink")]),
  );
  assert.deepEqual(nexthops.find(({ id }) => id === 9)?.group, [
    { id: 7, weight: 3 },
    { id: 8, weight: 1 },
  ]);
});

test("decodeQdisc() reads what tc qdisc prints", () => {
  const { messages, says } = reply("tc qdisc show dev cni0");
  const qdiscs = messages.filter(({ type }) => type === nl.RTM_NEWQDISC).map((message) => nl.decodeQdisc(message));
  const ofBridge = qdiscs.filter(({ index }) => names.get(index) === "cni0");
  assert.deepEqual(
    ofBridge.map(({ kind, handle }) => [kind, `${(handle >>> 16).toString(16)}:`]).sort(),
    says.map(({ kind, handle }) => [kind, handle]).sort(),
  );
  const said = says.find(({ kind }) => kind === "tbf")?.options;
  const tbf = ofBridge.find(({ kind }) => kind === "tbf")?.tbf;
  assert.deepEqual([tbf?.rateBytesPerSecond, tbf?.limitBytes], [said.rate, 225_000_000]);
  // tc counts whole microseconds, in which this rate has 5000 bytes.
  assert.ok(
    Math.abs((tbf?.burstBytes ?? 0) - Number.parseInt(said.burst, 10)) <= 5000,
    `${tbf?.burstBytes} ${said.burst}`,
  );
});
