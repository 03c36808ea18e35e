// Our requests against iproute2's, attribute by attribute.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parseIp, parseMac, parsePrefix } from "../../netip/index.ts";
import * as nl from "../index.ts";
import { attributeTree } from "../testing/attribute-tree.ts";

// What iproute2 sent for each command; testdata/netlink/make.mjs recorded it.
const file = new URL("../../../../testdata/netlink/requests.json", import.meta.url);
const recorded: { command: string; hex: string }[] = JSON.parse(readFileSync(file, "utf8")).requests;

const ip = parseIp;
const mac = parseMac;
const net = parsePrefix;
const IFINDEX = { cni0: 10, veth1: 11, eth0: 12, flannel1: 13 };

const OURS: Record<string, nl.Request> = {
  "ip link add name cni0 index 10 address 0a:58:0a:f4:01:01 mtu 1450 type bridge": nl.newLink({
    name: "cni0",
    index: 10,
    address: mac("0a:58:0a:f4:01:01"),
    mtu: 1450,
    kind: { kind: "bridge" },
  }),
  "ip link set dev cni0 up": nl.setLink({ index: IFINDEX.cni0, isUp: true }),
  "ip link set dev cni0 type bridge ageing_time 10000 stp_state 1 mcast_snooping 0": nl.setLink({
    index: IFINDEX.cni0,
    bridge: { ageingSeconds: 100, stp: true, multicastSnooping: false },
  }),
  "ip link add name veth1 index 11 mtu 1450 type veth peer name eth0 index 12 address 0a:58:0a:f4:01:02 mtu 1450":
    nl.newLink({
      name: "veth1",
      index: 11,
      mtu: 1450,
      kind: { kind: "veth", peer: { name: "eth0", index: 12, address: mac("0a:58:0a:f4:01:02"), mtu: 1450 } },
    }),
  "ip link set dev veth1 master cni0": nl.setLink({ index: IFINDEX.veth1, master: IFINDEX.cni0 }),
  "ip link set dev veth1 type bridge_slave hairpin on isolated on": nl.setLink({
    index: IFINDEX.veth1,
    bridgePort: { hairpin: true, isolated: true },
  }),
  "ip addr add 192.168.100.11/24 dev eth0": nl.newAddress({ index: IFINDEX.eth0, prefix: net("192.168.100.11/24") }),
  "ip link add name flannel.1 index 13 address 22:fb:a7:a4:32:0e mtu 1450 type vxlan id 1 local 192.168.100.11 dev eth0 dstport 8472 nolearning noudpcsum":
    nl.newLink({
      name: "flannel.1",
      index: 13,
      address: mac("22:fb:a7:a4:32:0e"),
      mtu: 1450,
      kind: {
        kind: "vxlan",
        id: 1,
        local: ip("192.168.100.11"),
        link: IFINDEX.eth0,
        port: 8472,
        learning: false,
        udpCsum: false,
      },
    }),
  "ip link add name flannel.7 index 14 type vxlan id 7 local fd00::1 remote fd00::2 dev eth0 srcport 1024 2048 dstport 4789 ttl 64 tos 2 ageing 60 learning udp6zerocsumtx udp6zerocsumrx gbp":
    nl.newLink({
      name: "flannel.7",
      index: 14,
      kind: {
        kind: "vxlan",
        id: 7,
        local: ip("fd00::1"),
        group: ip("fd00::2"),
        link: IFINDEX.eth0,
        portRange: [1024, 2048],
        port: 4789,
        ttl: 64,
        tos: 2,
        ageingSeconds: 60,
        learning: true,
        udpZeroCsum6Tx: true,
        udpZeroCsum6Rx: true,
        gbp: true,
      },
    }),
  "ip addr add 10.244.1.1/24 brd 10.244.1.255 dev cni0": nl.newAddress({
    index: IFINDEX.cni0,
    prefix: net("10.244.1.1/24"),
    broadcast: ip("10.244.1.255"),
  }),
  "ip addr add fd00:1::1/64 dev cni0 nodad": nl.newAddress({
    index: IFINDEX.cni0,
    prefix: net("fd00:1::1/64"),
    flags: nl.IFA_F_NODAD,
  }),
  "ip neigh replace 10.244.2.0 lladdr 6e:47:76:66:8e:36 dev flannel.1 nud permanent": nl.replaceNeighbour({
    index: IFINDEX.flannel1,
    address: ip("10.244.2.0"),
    lladdr: mac("6e:47:76:66:8e:36"),
  }),
  "bridge fdb replace 6e:47:76:66:8e:36 dev flannel.1 dst 192.168.100.12 self permanent": nl.replaceFdb({
    index: IFINDEX.flannel1,
    lladdr: mac("6e:47:76:66:8e:36"),
    dst: ip("192.168.100.12"),
  }),
  "bridge fdb append 00:00:00:00:00:00 dev flannel.1 dst 192.168.100.13 self permanent": nl.appendFdb({
    index: IFINDEX.flannel1,
    lladdr: mac("00:00:00:00:00:00"),
    dst: ip("192.168.100.13"),
  }),
  "ip route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink": nl.replaceRoute({
    family: 4,
    dst: net("10.244.2.0/24"),
    gateway: ip("10.244.2.0"),
    oif: IFINDEX.flannel1,
    onlink: true,
  }),
  "ip route add 10.244.4.0/24 dev cni0 src 10.244.1.1 metric 50 proto 112 mtu 1400 table 1000": nl.newRoute({
    family: 4,
    dst: net("10.244.4.0/24"),
    oif: IFINDEX.cni0,
    prefSrc: ip("10.244.1.1"),
    priority: 50,
    protocol: 112,
    mtu: 1400,
    table: 1000,
  }),
  "ip route add default via 192.168.100.1 dev eth0": nl.newRoute({
    family: 4,
    gateway: ip("192.168.100.1"),
    oif: IFINDEX.eth0,
  }),
  "ip route add fd00:2::/64 via fd00:1::2 dev cni0 proto static": nl.newRoute({
    family: 6,
    dst: net("fd00:2::/64"),
    gateway: ip("fd00:1::2"),
    oif: IFINDEX.cni0,
    protocol: nl.RTPROT_STATIC,
  }),
  "ip route add 10.244.6.0/24 via inet6 fe80::1 dev cni0": nl.newRoute({
    family: 4,
    dst: net("10.244.6.0/24"),
    gateway: ip("fe80::1"),
    oif: IFINDEX.cni0,
  }),
  "ip route add blackhole 10.244.9.0/24": nl.newRoute({
    family: 4,
    dst: net("10.244.9.0/24"),
    type: nl.RTN_BLACKHOLE,
  }),
  "ip nexthop replace id 7 via 10.244.3.0 dev flannel.1 onlink proto 112": nl.replaceNexthop({
    id: 7,
    family: 4,
    gateway: ip("10.244.3.0"),
    oif: IFINDEX.flannel1,
    onlink: true,
    protocol: 112,
  }),
  "ip route add 10.244.3.0/24 nhid 7 proto 112": nl.newRoute({
    family: 4,
    dst: net("10.244.3.0/24"),
    nexthopId: 7,
    protocol: 112,
  }),
  "bridge fdb del 6e:47:76:66:8e:36 dev flannel.1 dst 192.168.100.12 self": nl.deleteFdb({
    index: IFINDEX.flannel1,
    lladdr: mac("6e:47:76:66:8e:36"),
    dst: ip("192.168.100.12"),
  }),
  "ip neigh del 10.244.2.0 dev flannel.1": nl.deleteNeighbour({ index: IFINDEX.flannel1, address: ip("10.244.2.0") }),
  "ip route del 10.244.2.0/24 via 10.244.2.0 dev flannel.1": nl.deleteRoute({
    family: 4,
    dst: net("10.244.2.0/24"),
    gateway: ip("10.244.2.0"),
    oif: IFINDEX.flannel1,
  }),
  "ip route del fd00:2::/64": nl.deleteRoute({ family: 6, dst: net("fd00:2::/64") }),
  "ip nexthop del id 7": nl.deleteNexthop({ id: 7 }),
  "ip addr del 10.244.1.0/32 dev flannel.1": nl.deleteAddress({
    index: IFINDEX.flannel1,
    prefix: net("10.244.1.0/32"),
  }),
  "ip link set dev veth1 group 7": nl.setLink({ index: IFINDEX.veth1, group: 7 }),
  "ip link set dev veth1 nomaster": nl.setLink({ index: IFINDEX.veth1, master: 0 }),
  "ip link del dev flannel.7": nl.deleteLink({ index: 14 }),
  "ip link del group 7": nl.deleteLink({ group: 7 }),
  "ip link add name ifb7 index 15 mtu 1450 txqueuelen 0 type ifb": nl.newLink({
    name: "ifb7",
    index: 15,
    mtu: 1450,
    txQueueLength: 0,
    kind: { kind: "other", name: "ifb" },
  }),
  "tc qdisc replace dev cni0 root handle 1: tbf rate 8mbit burst 100000 latency 25ms": nl.replaceTbf(IFINDEX.cni0, {
    rateBytesPerSecond: 1_000_000,
    burstBytes: 100_000,
    limitBytes: 125_000,
  }),
  "tc qdisc replace dev cni0 root handle 1: tbf rate 40gbit burst 100000000 limit 225000000": nl.replaceTbf(
    IFINDEX.cni0,
    { rateBytesPerSecond: 5_000_000_000, burstBytes: 100_000_000, limitBytes: 225_000_000 },
  ),
  "tc qdisc replace dev cni0 ingress": nl.replaceIngress(IFINDEX.cni0),
  "tc filter add dev cni0 parent ffff: protocol all prio 1 u32 match u32 0 0 action mirred egress redirect dev ifb7":
    nl.redirectAll(IFINDEX.cni0, 15),
  "tc qdisc del dev cni0 root": nl.deleteRootQdisc(IFINDEX.cni0),
  "tc qdisc del dev cni0 ingress": nl.deleteIngress(IFINDEX.cni0),
};

/** Where we differ from iproute2 on purpose: the attribute, what each sends, and why it means the same. */
const DIFFERENCES: readonly { path: string; ours?: string; theirs?: string; why: string }[] = [
  ...["bridge", "veth", "vxlan"].map((kind) => ({
    path: "16.18.1",
    ours: `${ascii(kind)}00`,
    theirs: ascii(kind),
    why: "IFLA_INFO_KIND is NLA_STRING: with or without its NUL",
  })),
  { path: "16.18.1", theirs: ascii("bridge_slave"), why: "iproute2 names the slave's kind in IFLA_INFO_KIND" },
  { path: "16.18.4", ours: `${ascii("bridge")}00`, why: "we name the slave's kind in IFLA_INFO_SLAVE_KIND" },
  { path: "16.18.2", ours: "", why: "IFLA_INFO_DATA without a setting" },
  {
    path: "20",
    ours: "0a4000000a000000",
    theirs: "0a4002000a000000",
    why: "flags in IFA_FLAGS, which has room for all",
  },
  { path: "20.8", ours: "02000000", why: "the same flags" },
  {
    path: "16.18.1",
    ours: ascii("ifb\0"),
    theirs: ascii("ifb"),
    why: "iproute2 ends a kind with no zero",
  },
  ...[
    "40420f0000000000000000000000000048e8010084d7170000000000",
    "ffffffff000000000000000000000000403a690d148d050000000000",
  ].map((rest) => ({
    path: "36.2.1",
    ours: `0001000000000000${rest}`,
    theirs: `03010000ffff0000${rest}`,
    why: "cell_log and cell_align are of the rate table",
  })),
  {
    path: "28",
    ours: "070000000d00000080000200",
    theirs: "070000000d000000c0000200",
    why: "NUD_PERMANENT as Flannel sends it; iproute2 adds NUD_NOARP",
  },
  {
    path: "28",
    ours: "020000000d00000000000000",
    theirs: "020000000d00000080000000",
    why: "a deletion's state is not looked at",
  },
];

function ascii(text: string): string {
  return Buffer.from(text).toString("hex");
}

for (const [command, request] of Object.entries(OURS))
  test(`${command}: our request says what iproute2's says`, () => {
    const hex = recorded.find((entry) => entry.command === command)?.hex;
    assert.ok(hex, "not recorded");
    const [theirs] = nl.decodeMessages(Uint8Array.from(Buffer.from(hex, "hex")));
    assert.ok(theirs);
    assert.equal(request.type, theirs.type);
    assert.equal(request.flags, theirs.flags & ~(nl.NLM_F_REQUEST | nl.NLM_F_ACK));
    const kind = theirs.type - (theirs.type % 4);
    const shape = { name: String(kind), headerLength: HEADER_LENGTH.get(kind) ?? 0, nests };
    const [weSay, theySay] = [attributeTree(request.payload, shape), attributeTree(theirs.payload, shape)];
    theySay.delete(TBF_RATE_TABLE);
    for (const { path, ours, theirs } of DIFFERENCES)
      if (weSay.get(path) === ours && theySay.get(path) === theirs) {
        weSay.delete(path);
        theySay.delete(path);
      }
    assert.deepEqual(weSay, theySay);
  });

/** TCA_TBF_RTAB, a kilobyte that the kernel does not look at when it is told the link layer. */
const TBF_RATE_TABLE = `${nl.RTM_NEWQDISC}.2.2`;

const HEADER_LENGTH = new Map<number, number>([
  [nl.RTM_NEWLINK, 16],
  [nl.RTM_NEWADDR, 8],
  [nl.RTM_NEWROUTE, 12],
  [nl.RTM_NEWNEIGH, 12],
  [nl.RTM_NEWNEXTHOP, 8],
  [nl.RTM_NEWQDISC, 20],
  [nl.RTM_NEWTFILTER, 20],
]);

// Which attributes hold attributes, and how long a header stands before these.
const NESTS: Record<string, number> = {
  [`${nl.RTM_NEWLINK}.${nl.IFLA_LINKINFO}`]: 0,
  [`${nl.RTM_NEWLINK}.${nl.IFLA_LINKINFO}.${nl.IFLA_INFO_DATA}`]: 0,
  [`${nl.RTM_NEWLINK}.${nl.IFLA_LINKINFO}.${nl.IFLA_INFO_DATA}.1 of veth`]: 16,
  [`${nl.RTM_NEWLINK}.${nl.IFLA_LINKINFO}.${nl.IFLA_INFO_SLAVE_DATA}`]: 0,
  [`${nl.RTM_NEWROUTE}.8`]: 0,
  [`${nl.RTM_NEWQDISC}.2`]: 0,
  [`${nl.RTM_NEWTFILTER}.2`]: 0,
  [`${nl.RTM_NEWTFILTER}.2.7`]: 0,
  [`${nl.RTM_NEWTFILTER}.2.7.1`]: 0,
  [`${nl.RTM_NEWTFILTER}.2.7.1.2`]: 0,
};

function nests(path: string, value: Uint8Array): number | undefined {
  const isVethPeer = value.length > 16 && (NESTS[`${path} of veth`] ?? -1) === 16;
  return NESTS[path] ?? (isVethPeer ? 16 : undefined);
}
