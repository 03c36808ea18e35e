// Makes requests.json and replies.json: what iproute2 says to the kernel, and what the kernel answers, byte by byte.
// Run as root, from anywhere: node testdata/netlink/make.mjs (needs iproute2 and strace; all in a namespace of its own).
import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { datagrams } from "./datagrams.mjs";

if (process.argv[2] !== "inside") {
  const run = spawnSync("unshare", ["--net", process.execPath, new URL(import.meta.url).pathname, "inside"], {
    stdio: "inherit",
  });
  process.exit(run.status ?? 1);
}

/** RTM_NEW… or RTM_DEL…; with sequence number 0 it is iproute2's empty probe of what the kernel supports. */
function changesSomething(hex) {
  const view = new DataView(Uint8Array.from(Buffer.from(hex, "hex")).buffer);
  const type = view.getUint16(4, true);
  return type >= 16 && type % 4 < 2 && view.getUint32(8, true) !== 0;
}

const requests = [];
/** Runs a command for what it changes, and keeps what it asked for. */
function request(command) {
  const sent = datagrams(command, "write").filter(changesSomething);
  if (sent.length !== 1) throw new Error(`${command}: sent ${sent.length} requests`);
  requests.push({ command, hex: sent[0] });
}

request("ip link add name cni0 index 10 address 0a:58:0a:f4:01:01 mtu 1450 type bridge");
request("ip link set dev cni0 up");
request("ip link set dev cni0 type bridge ageing_time 10000 stp_state 1 mcast_snooping 0");
request("ip link add name veth1 index 11 mtu 1450 type veth peer name eth0 index 12 address 0a:58:0a:f4:01:02 mtu 1450");
request("ip link set dev veth1 master cni0");
request("ip link set dev veth1 type bridge_slave hairpin on isolated on");
request("ip link set dev veth1 up");
request("ip link set dev eth0 up");
request("ip addr add 192.168.100.11/24 dev eth0");
request(
  "ip link add name flannel.1 index 13 address 22:fb:a7:a4:32:0e mtu 1450 type vxlan id 1 local 192.168.100.11 dev eth0 dstport 8472 nolearning noudpcsum",
);
request(
  "ip link add name flannel.7 index 14 type vxlan id 7 local fd00::1 remote fd00::2 dev eth0 srcport 1024 2048 dstport 4789 ttl 64 tos 2 ageing 60 learning udp6zerocsumtx udp6zerocsumrx gbp",
);
request("ip link set dev flannel.1 up");
request("ip addr add 10.244.1.0/32 dev flannel.1");
request("ip addr add 10.244.1.1/24 brd 10.244.1.255 dev cni0");
request("ip addr add fd00:1::1/64 dev cni0 nodad");
request("ip neigh replace 10.244.2.0 lladdr 6e:47:76:66:8e:36 dev flannel.1 nud permanent");
request("bridge fdb replace 6e:47:76:66:8e:36 dev flannel.1 dst 192.168.100.12 self permanent");
request("bridge fdb append 00:00:00:00:00:00 dev flannel.1 dst 192.168.100.13 self permanent");
request("ip route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink");
request("ip route add 10.244.4.0/24 dev cni0 src 10.244.1.1 metric 50 proto 112 mtu 1400 table 1000");
request("ip route add default via 192.168.100.1 dev eth0");
request("ip route add fd00:2::/64 via fd00:1::2 dev cni0 proto static");
request("ip route add 10.244.6.0/24 via inet6 fe80::1 dev cni0");
request("ip route add blackhole 10.244.9.0/24");
request("ip nexthop replace id 7 via 10.244.3.0 dev flannel.1 onlink proto 112");
request("ip route add 10.244.3.0/24 nhid 7 proto 112");
request("ip nexthop add id 8 via 192.168.100.9 dev eth0");
request("ip nexthop add id 9 group 7,3/8");
request("ip route add 10.244.8.0/24 nexthop via 192.168.100.2 dev eth0 weight 2 nexthop via 10.244.9.0 dev flannel.1 onlink");

const replies = [];
/** Keeps the kernel's answer to a listing, and what `ip` makes of it. */
function reply(command) {
  const says = JSON.parse(execFileSync(command.split(" ")[0], ["-j", "-d", ...command.split(" ").slice(1)], { encoding: "utf8" }));
  replies.push({ command, hex: datagrams(command, "read"), says });
}
reply("ip link show");
reply("ip addr show");
reply("ip -4 route show table all");
reply("ip -6 route show table all");
reply("ip neigh show nud all");
reply("bridge fdb show");
reply("ip nexthop show");

request("bridge fdb del 6e:47:76:66:8e:36 dev flannel.1 dst 192.168.100.12 self");
request("ip neigh del 10.244.2.0 dev flannel.1");
request("ip route del 10.244.2.0/24 via 10.244.2.0 dev flannel.1");
request("ip route del fd00:2::/64");
request("ip nexthop del id 7");
request("ip addr del 10.244.1.0/32 dev flannel.1");
request("ip link set dev veth1 group 7");
request("ip link set dev veth1 nomaster");
request("ip link del dev flannel.7");
request("ip link del group 7");

request("ip link add name ifb7 index 15 mtu 1450 txqueuelen 0 type ifb");
request("tc qdisc replace dev cni0 root handle 1: tbf rate 8mbit burst 100000 latency 25ms");
request("tc qdisc replace dev cni0 root handle 1: tbf rate 40gbit burst 100000000 limit 225000000");
request("tc qdisc replace dev cni0 ingress");
request("tc filter add dev cni0 parent ffff: protocol all prio 1 u32 match u32 0 0 action mirred egress redirect dev ifb7");
reply("tc qdisc show dev cni0");
request("tc qdisc del dev cni0 root");
request("tc qdisc del dev cni0 ingress");

const version = execFileSync("ip", ["-V"], { encoding: "utf8" }).trim();
const head = { madeBy: "node testdata/netlink/make.mjs", version };
writeFileSync(new URL("requests.json", import.meta.url), `${JSON.stringify({ ...head, requests }, null, 1)}\n`);
writeFileSync(new URL("replies.json", import.meta.url), `${JSON.stringify({ ...head, replies }, null, 1)}\n`);
