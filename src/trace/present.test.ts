import assert from "node:assert/strict";
import { test } from "node:test";
import { readPcapng } from "../formats/packet/testing/pcapng-reader.ts";
import type { TraceEvent } from "../kernel/index.ts";
import type { Hop } from "../model/index.ts";
import { hopTable, hopToJson, toPcapng } from "./index.ts";
import { lengthFilter } from "./kernel-events.ts";
import { tell } from "./tell.ts";
import { sighting, topology } from "./testing/sightings.ts";

const MATCH = { protocol: "udp", request: "podpath-ping 1", reply: "podpath-pong 1" } as const;
const SIGHTINGS = [
  sighting("node1/cni0 rx", 0),
  sighting("node1/flannel.1 tx", 12_000, { ttl: 63, mac: 2 }),
  sighting("node1/eth0 tx", 15_500, { ttl: 63, mac: 2, carrier: [1, 2] }),
];
const event = (atNs: number, name: string, text: string, fields: Record<string, string> = {}): TraceEvent => ({
  ...{ timestampNs: 1_795_000_000_000_000_000n + BigInt(atNs), cpu: 0, name, text, fields },
});
const hopsWith = (...events: TraceEvent[]): Hop[] => tell(SIGHTINGS, MATCH, topology(), events).hops;

test("hopTable() prints who, where and when, the packet, its carrier and what changed", () => {
  assert.equal(
    hopTable(hopsWith()),
    `\
#    µs  node   namespace  device         packet, what carries it (in), what changed (*)
request
1   0.0  node1  node1      cni0       rx  udp 10.244.1.2:40000 > 10.244.2.2:8080, 14 B, ttl 64
2  12.0  node1  node1      flannel.1  tx  udp 10.244.1.2:40000 > 10.244.2.2:8080, 14 B, ttl 63
                                          * ttl 64 -> 63; mac 0a:58:0a:f4:01:02 > 0a:58:0a:f4:02:02
3  15.5  node1  node1      eth0       tx  udp 10.244.1.2:40000 > 10.244.2.2:8080, 14 B, ttl 63
                                          in vxlan vni 1, 192.168.100.11:40000 > 192.168.100.12:8472, ttl 64
                                          * vxlan-encap`,
  );
});

test("hopTable() prints an echo on one line, and what is wrong with a packet", () => {
  const [echo] = tell(
    [sighting("pod-a/eth0 tx", 0, { protocol: "icmp", text: `podpath-ping 1${".".repeat(200)}` })],
    { protocol: "icmp", request: "podpath-ping 1", reply: "podpath-ping 1" },
    topology(),
    [],
  ).hops;
  assert.match(
    hopTable([echo as Hop]),
    /tx {2}icmp request 10\.244\.1\.2 > 10\.244\.2\.2, id 7 seq 100, 214 B, ttl 64$/,
  );
  const notes = ["udp checksum is left to the device", "ipv4 checksum is wrong"];
  assert.match(hopTable([{ ...(echo as Hop), notes }]), /\n +! ipv4 checksum is wrong$/);
});

test("hopTable() stays inside the terminal's width", () => {
  for (const columns of [100, 120, 160])
    for (const line of hopTable(hopsWith(), { columns }).split("\n"))
      assert.ok(line.length <= columns, `${line.length} > ${columns}: ${line}`);
});

test("hopToJson() is plain JSON with both envelopes", () => {
  const json = JSON.parse(JSON.stringify(hopToJson(hopsWith()[2] as Hop)));
  assert.equal(json.timestampNs, "1795000000000015500");
  assert.equal(json.vni, 1);
  assert.deepEqual(
    [json.outer, json.inner].map((layers) => layers.map((layer: { layer: string }) => layer.layer)),
    [
      ["ethernet", "ipv4", "udp"],
      ["ethernet", "ipv4", "udp", "payload"],
    ],
  );
  assert.equal(json.outer[1].destination, "192.168.100.12");
  assert.match(json.frame, /^0a580af4/);
  assert.deepEqual([json.device, json.diff[0].kind, json.tUs], ["eth0", "vxlan-encap", 15.5]);
});

test("toPcapng() writes a block for each hop and says in each packet's comment what happened there", () => {
  const blocks = readPcapng(toPcapng([{ title: "4 udp", hops: hopsWith() }]));
  const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);
  const named = blocks.filter((block) => block.type === 1);
  const packets = blocks.filter((block) => block.type === 6);
  assert.deepEqual(
    named.map((block) => text(block.options.get(2))),
    ["node1/cni0", "node1/flannel.1", "node1/eth0"],
  );
  assert.deepEqual(
    packets.map((block) => new DataView(block.body.buffer, block.body.byteOffset).getUint32(0, true)),
    [0, 1, 2],
  );
  assert.equal(text(packets[0]?.options.get(1)), "4 udp: hop 1/3 of the request, route: unchanged");
  assert.match(text(packets[1]?.options.get(1)), /^4 udp: hop 2\/3 of the request, vxlan-encap: ttl 64 -> 63; mac /);
});

test("kernel events are told at the hop they belong to, and others' are not", () => {
  const fib = (iif: number, from: string, to: string): string =>
    `table 254 oif 0 iif ${iif} proto 0 ${from}/0 -> ${to}/0 tos 0 scope 0 flags 0 ==> dev flannel.1 gw 10.244.2.0/:: err 0`;
  const hops = hopsWith(
    event(-1000, "netif_receive_skb", "dev=cni0 skbaddr=aa len=42", { dev: "cni0", skbaddr: "aa", len: "42" }),
    event(-1000, "netif_receive_skb", "dev=cni0 skbaddr=bb len=99", { dev: "cni0", skbaddr: "bb", len: "99" }),
    event(5000, "fib_table_lookup", fib(2, "10.244.1.2", "10.244.2.2")),
    event(5000, "fib_table_lookup", fib(7, "10.244.1.2", "10.244.2.2")),
    event(5000, "fib_table_lookup", fib(2, "10.244.9.9", "10.244.2.2")),
    event(13_000, "fib_table_lookup", fib(1, "192.168.100.11", "192.168.100.12")),
    event(90_000, "fib_table_lookup", fib(2, "10.244.1.2", "10.244.2.2")),
  );
  assert.deepEqual(
    hops.map((hop) => hop.evidence),
    [
      ["netif_receive_skb: dev=cni0 skbaddr=aa len=42", `fib_table_lookup: ${fib(2, "10.244.1.2", "10.244.2.2")}`],
      [`fib_table_lookup: ${fib(1, "192.168.100.11", "192.168.100.12")}`],
      [],
    ],
  );
});

test("a drop is told at a leg's last hop, when it is of the same skb", () => {
  const length = String(SIGHTINGS[2]?.captured.frame.length);
  const sent = event(15_000, "net_dev_queue", "", { dev: "eth0", skbaddr: "aa", len: length });
  const drop = (skbaddr: string): TraceEvent =>
    event(20_000, "kfree_skb", "", { skbaddr, reason: "NETFILTER_DROP", location: "nf_hook_slow" });
  assert.equal(
    hopsWith(sent, drop("aa"))[2]?.evidence[1],
    "kfree_skb: dropped, reason NETFILTER_DROP, at nf_hook_slow",
  );
  assert.equal(hopsWith(sent, drop("bb"))[2]?.evidence.length, 1);
  assert.equal(hopsWith(drop("aa"))[2]?.evidence.length, 0);
});

test("lengthFilter() passes a probe's own lengths, or nothing is filtered when they are not known", () => {
  assert.equal(lengthFilter(MATCH), undefined);
  const filter = lengthFilter({ ...MATCH, requestBytes: 777, replyBytes: 777 }) ?? "";
  // 805 as received, 819 as handed to a device, 855 and 869 inside an IPv4 carrier: the numbers the kernel prints.
  // 875 and 889 inside an IPv6 one.
  for (const length of [805, 819, 855, 869, 875, 889])
    assert.ok(filter.includes(`len==${length}`), `${length} in ${filter}`);
  const tcp = lengthFilter({ ...MATCH, protocol: "tcp", requestBytes: 100, replyBytes: 200 }) ?? "";
  for (const length of [152, 166, 252, 266]) assert.ok(tcp.includes(`len==${length}`), `${length} in ${tcp}`);
});
