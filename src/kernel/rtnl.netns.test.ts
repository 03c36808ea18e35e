// What we send is what the kernel does: made through Rtnl, looked at through iproute2.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { parseIp, parseMac, parsePrefix } from "../formats/netip/index.ts";
import * as nl from "../formats/netlink/index.ts";
import { isAlreadyExists, isNotFound } from "./index.ts";
import { ask, indexOf, Namespaces, type Says, whyNoNetNs, withUnderlay } from "./testing/namespaces.ts";

const skip = whyNoNetNs();
const mac = parseMac;
const ip = parseIp;
const net = parsePrefix;
const OURS = 112;

describe("Rtnl and the kernel's objects", { skip }, () => {
  const namespaces = new Namespaces();
  const fresh = () => namespaces.fresh();
  after(() => namespaces[Symbol.dispose]());

  test("makes flannel.1 and a peer, as ip -d and bridge show Flannel's", () => {
    const { ns, rtnl } = fresh();
    const eth0 = withUnderlay(rtnl);
    rtnl.execute(
      nl.newLink({
        name: "flannel.1",
        isUp: true,
        mtu: 1450,
        address: mac("22:fb:a7:a4:32:0e"),
        kind: {
          kind: "vxlan",
          id: 1,
          local: ip("192.168.100.11"),
          link: eth0,
          port: 8472,
          learning: false,
          udpCsum: false,
        },
      }),
    );
    const index = indexOf(rtnl, "flannel.1");
    const lladdr = mac("6e:47:76:66:8e:36");
    rtnl.execute([
      nl.newAddress({ index, prefix: net("10.244.1.0/32") }),
      nl.replaceNeighbour({ index, address: ip("10.244.2.0"), lladdr }),
      nl.replaceFdb({ index, lladdr, dst: ip("192.168.100.12") }),
      nl.replaceRoute({
        family: 4,
        dst: net("10.244.2.0/24"),
        gateway: ip("10.244.2.0"),
        oif: index,
        onlink: true,
        protocol: OURS,
      }),
    ]);

    const [link] = ask(ns, "ip link show dev flannel.1");
    assert.deepEqual([link.mtu, link.address, link.operstate], [1450, "22:fb:a7:a4:32:0e", "UNKNOWN"]);
    const { info_kind, info_data } = link.linkinfo;
    assert.equal(info_kind, "vxlan");
    assert.deepEqual(
      [info_data.id, info_data.local, info_data.link, info_data.port, info_data.learning, info_data.udp_csum],
      [1, "192.168.100.11", "eth0", 8472, false, false],
    );
    const [address] = ask(ns, "ip -4 addr show dev flannel.1");
    assert.deepEqual(
      address.addr_info.map((a: Says) => [a.local, a.prefixlen, a.scope, a.label]),
      [["10.244.1.0", 32, "global", "flannel.1"]],
    );
    const [route] = ask(ns, "ip route show 10.244.2.0/24");
    assert.deepEqual(
      [route.gateway, route.dev, route.protocol, route.flags],
      ["10.244.2.0", "flannel.1", String(OURS), ["onlink"]],
    );
    assert.deepEqual(
      ask(ns, "ip -4 neigh show dev flannel.1").map((n) => [n.dst, n.lladdr, n.state]),
      [["10.244.2.0", lladdr, ["PERMANENT"]]],
    );
    assert.deepEqual(
      ask(ns, "bridge fdb show dev flannel.1").map((e) => [e.mac, e.dst, e.flags, e.state]),
      [[lladdr, "192.168.100.12", ["self"], "permanent"]],
    );
    // And read back by ourselves.
    assert.equal(rtnl.routes({ protocol: OURS }).length, 1);
    assert.deepEqual(
      rtnl.neighbours(index).filter((n) => n.state === nl.NUD_PERMANENT),
      [{ index, family: 4, address: "10.244.2.0", lladdr, state: nl.NUD_PERMANENT, flags: 0 }],
    );
    assert.deepEqual(rtnl.fdb(index), [
      { index, lladdr, dst: "192.168.100.12", state: nl.NUD_PERMANENT, flags: nl.NTF_SELF },
    ]);
  });

  test("makes a pod's veth in one message: peer with name, MAC, MTU and index in another namespace; then a hairpin port", () => {
    const { ns, rtnl } = fresh();
    const pod = fresh();
    rtnl.execute(
      nl.newLink({ name: "cni0", isUp: true, kind: { kind: "bridge", ageingSeconds: 100, multicastSnooping: false } }),
    );
    const podMac = mac("0a:58:0a:f4:01:02");
    const peer = { name: "eth0", index: 2, mtu: 1450, address: podMac, netnsFd: pod.ns.fd };
    rtnl.execute([
      nl.newLink({ name: "veth1", mtu: 1450, isUp: true, master: indexOf(rtnl, "cni0"), kind: { kind: "veth", peer } }),
      nl.setLink({ name: "veth1", bridgePort: { hairpin: true, isolated: true } }),
    ]);
    pod.rtnl.execute([
      nl.setLink({ index: 1, isUp: true }),
      nl.setLink({ index: 2, isUp: true }),
      nl.newAddress({ index: 2, prefix: net("10.244.1.2/24"), broadcast: ip("10.244.1.255") }),
      nl.newAddress({ index: 2, prefix: net("fd00:1::2/64"), flags: nl.IFA_F_NODAD }),
      nl.newRoute({ family: 4, gateway: ip("10.244.1.1"), oif: 2 }),
    ]);

    const [eth0] = ask(pod.ns, "ip addr show dev eth0");
    assert.deepEqual([eth0.ifindex, eth0.mtu, eth0.address], [2, 1450, podMac]);
    assert.deepEqual(
      eth0.addr_info.filter((a: Says) => a.scope === "global").map((a: Says) => `${a.local}/${a.prefixlen}`),
      ["10.244.1.2/24", "fd00:1::2/64"],
    );
    assert.deepEqual(
      ask(pod.ns, "ip route show default").map((r) => [r.gateway, r.dev]),
      [["10.244.1.1", "eth0"]],
    );
    const [veth] = ask(ns, "ip link show dev veth1");
    assert.deepEqual([veth.master, veth.mtu, veth.linkinfo.info_kind], ["cni0", 1450, "veth"]);
    const { hairpin, isolated } = veth.linkinfo.info_slave_data;
    assert.deepEqual([hairpin, isolated], [true, true]);
    const [cni0] = ask(ns, "ip link show dev cni0");
    assert.equal(cni0.linkinfo.info_data.ageing_time, 10000);

    const link = rtnl.link("veth1");
    assert.deepEqual([link?.bridgePort?.hairpin, link?.bridgePort?.isolated, link?.kind?.kind], [true, true, "veth"]);
    assert.equal(link?.link, 2);
    assert.notEqual(link?.linkNetnsId, undefined);
  });

  test("routes through a nexthop object, which ip shows with gateway and device", () => {
    const { ns, rtnl } = fresh();
    const oif = withUnderlay(rtnl);
    rtnl.execute([
      nl.replaceNexthop({ id: 7, family: 4, gateway: ip("10.244.5.0"), oif, onlink: true, protocol: OURS }),
      nl.newRoute({ family: 4, dst: net("10.244.5.0/24"), nexthopId: 7, protocol: OURS }),
    ]);
    const [route] = ask(ns, "ip route show 10.244.5.0/24");
    assert.deepEqual([route.nhid, route.gateway, route.dev, route.flags], [7, "10.244.5.0", "eth0", ["onlink"]]);
    assert.deepEqual(rtnl.nexthops(), [
      { id: 7, family: 4, gateway: "10.244.5.0", oif, onlink: true, protocol: OURS, blackhole: false },
    ]);
    rtnl.execute(nl.deleteNexthop({ id: 7 }));
    assert.deepEqual(ask(ns, "ip route show 10.244.5.0/24"), [], "the route goes with its nexthop");
    assert.deepEqual(rtnl.nexthops(), []);
  });

  test("routes with table, metric, source, MTU, blackhole, IPv6, and a gateway of the other family", () => {
    const { ns, rtnl } = fresh();
    const oif = withUnderlay(rtnl);
    rtnl.execute([
      nl.newAddress({ index: oif, prefix: net("fd00:1::1/64"), flags: nl.IFA_F_NODAD }),
      nl.newRoute({
        family: 4,
        dst: net("10.244.4.0/24"),
        oif,
        prefSrc: ip("192.168.100.11"),
        priority: 50,
        mtu: 1400,
        table: 1000,
        protocol: OURS,
      }),
      nl.newRoute({ family: 4, dst: net("10.244.9.0/24"), type: nl.RTN_BLACKHOLE }),
      nl.newRoute({ family: 6, dst: net("fd00:2::/64"), gateway: ip("fd00:1::2"), oif, protocol: nl.RTPROT_STATIC }),
      nl.newRoute({ family: 4, dst: net("10.244.6.0/24"), gateway: ip("fe80::1"), oif }),
    ]);
    const [special] = ask(ns, "ip route show table 1000");
    assert.deepEqual(
      [special.dst, special.prefsrc, special.metric, special.metrics[0].mtu, special.scope],
      ["10.244.4.0/24", "192.168.100.11", 50, 1400, "link"],
    );
    assert.equal(ask(ns, "ip route show 10.244.9.0/24")[0].type, "blackhole");
    const [six] = ask(ns, "ip -6 route show fd00:2::/64");
    assert.deepEqual([six.gateway, six.dev, six.protocol], ["fd00:1::2", "eth0", "static"]);
    assert.deepEqual(ask(ns, "ip route show 10.244.6.0/24")[0].via, { family: "inet6", host: "fe80::1" });

    assert.deepEqual(
      rtnl.routes({ table: 1000 }).map(({ dst, mtu }) => [dst?.address, mtu]),
      [["10.244.4.0", 1400]],
    );
    assert.deepEqual(rtnl.routes({ table: 1001 }), []);
    assert.equal(rtnl.routes({ family: 4, type: nl.RTN_BLACKHOLE }).length, 1);
    assert.equal(rtnl.routeTo(ip("10.244.6.7"))?.gateway, "fe80::1");
    assert.equal(rtnl.routeTo(ip("203.0.113.1")), undefined);
    rtnl.execute([
      nl.deleteRoute({ family: 4, dst: net("10.244.4.0/24"), table: 1000 }),
      nl.deleteRoute({ family: 6, dst: net("fd00:2::/64") }),
    ]);
    assert.deepEqual(rtnl.routes({ table: 1000 }), []);
  });

  test("deletes what it made, and says what was not there", () => {
    const { rtnl } = fresh();
    const index = withUnderlay(rtnl);
    const lladdr = mac("02:00:00:00:00:01");
    const neighbour = { index, address: ip("192.168.100.9"), lladdr };
    const prefix = net("192.168.100.11/24");
    // NLM_F_EXCL's bit is NLM_F_BULK in a deletion, which most tables refuse: our deletions never carry it.
    const deletions = [
      nl.deleteNeighbour(neighbour),
      nl.deleteRoute({ family: 4, dst: net("10.9.0.0/24") }),
      nl.deleteNexthop({ id: 4711 }),
      nl.deleteFdb({ index, lladdr }),
      nl.deleteAddress({ index, prefix }),
    ];
    assert.ok(deletions.every(({ flags }) => flags === 0));
    rtnl.execute([nl.newNeighbour(neighbour), nl.newFdb({ index, lladdr })]);
    assert.throws(
      () => rtnl.execute([nl.newNeighbour(neighbour), nl.newAddress({ index, prefix })]),
      (error) => isAlreadyExists(error) && error instanceof Error && "others" in error,
    );
    rtnl.execute(nl.newRoute({ family: 4, dst: net("10.9.0.0/24"), oif: index }));
    rtnl.execute(nl.newNexthop({ id: 4711, family: 4, oif: index }));
    rtnl.execute(deletions);
    for (const request of deletions)
      assert.throws(() => rtnl.execute(request), isNotFound, nl.describeRequest(request));
    rtnl.execute(deletions, { tolerate: isNotFound });
  });

  test("renames, moves and changes a device", () => {
    const { ns, rtnl } = fresh();
    const other = fresh();
    rtnl.execute(nl.newLink({ name: "a", kind: { kind: "veth", peer: { name: "b" } } }));
    const index = indexOf(rtnl, "a");
    rtnl.execute(
      nl.setLink({ index, newName: "c", mtu: 1234, group: 5, alias: "the one", address: mac("02:00:00:00:00:07") }),
    );
    const [said] = ask(ns, "ip link show dev c");
    assert.deepEqual([said.mtu, said.group, said.ifalias, said.address], [1234, "5", "the one", "02:00:00:00:00:07"]);
    assert.equal(rtnl.link(index)?.name, "c");
    rtnl.execute(nl.setLink({ index, netnsFd: other.ns.fd }));
    assert.equal(rtnl.link("c"), undefined);
    assert.equal(other.rtnl.link("c")?.mtu, 1234);
    rtnl.execute(nl.newLink({ name: "br", kind: { kind: "bridge" } }));
    rtnl.execute(nl.setLink({ name: "b", master: indexOf(rtnl, "br") }));
    assert.equal(rtnl.link("b")?.master, indexOf(rtnl, "br"));
    rtnl.execute(nl.setLink({ name: "b", master: 0 }));
    assert.equal(rtnl.link("b")?.master, undefined);
    rtnl.execute(nl.setLink({ name: "br", bridge: { ageingSeconds: 60 } }));
    const kind = rtnl.link("br")?.kind;
    assert.equal(kind?.kind === "bridge" && kind.ageingSeconds, 60);
  });

  test("counts packets when asked for counters", () => {
    const { rtnl } = fresh();
    withUnderlay(rtnl);
    assert.equal(rtnl.link("eth0")?.stats, undefined);
    const stats = rtnl.links({ stats: true }).find(({ name }) => name === "eth0")?.stats;
    assert.equal(typeof stats?.rxBytes, "bigint");
  });
});
