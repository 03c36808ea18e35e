// The same configuration through Debian's reference plugins and through ours, each on a node of its own: the kernel must
// end in the same state. What may differ is listed in `known`.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { type TestContext, test } from "node:test";
import type { JsonObject } from "../formats/cni/index.ts";
import type { Link } from "../formats/netlink/index.ts";
import { NetNs, Rtnl, readSysctl } from "../kernel/index.ts";
import { cannotMakeNamespaces, FakeNode, ok } from "./testing/fake-node.ts";
import { REFERENCE_FOLDER, reference } from "./testing/reference.ts";

const IFF_RUNNING = 0x40;
const IFF_LOWER_UP = 0x10000;
const skip = existsSync(`${REFERENCE_FOLDER}/bridge`)
  ? cannotMakeNamespaces()
  : "containernetworking-plugins is not installed";

/** Everything the kernel tells of a node and its pods, without what is random or a matter of order. */
function kernelState(node: FakeNode, pods: readonly string[], type: unknown): unknown {
  const ofNamespace = (ns?: NetNs): unknown => {
    using rtnl = Rtnl.open(ns);
    const links = rtnl.links();
    const nameOf = (index: number | undefined): string | undefined =>
      plain(links.find((link) => link.index === index)?.name);
    return {
      links: links.map((link) => describe(link, nameOf(link.master))).sort(byText),
      addresses: rtnl
        .addresses()
        // The kernel's own link-local ones come when it has noticed the carrier: a matter of time, not of the plugin.
        .filter(({ prefix }) => !prefix.address.startsWith("fe80"))
        .map(({ index, prefix, scope, flags, broadcast, label }) => ({
          device: nameOf(index),
          address: prefix,
          scope,
          // 0x40: an address of IPv6 whose detection still runs
          flags: flags & ~0x40,
          broadcast,
          label: plain(label),
        }))
        .sort(byText),
      routes: rtnl
        .routes()
        // IPv6's own, of addresses that are random, or that come when a detection of theirs has ended.
        .filter(({ family, table, dst }) => !(family === 6 && (table === 255 || dst?.address.startsWith("fe80"))))
        .map((route) => ({ ...route, oif: nameOf(route.oif) }))
        .sort(byText),
    };
  };
  return {
    host: ofNamespace(),
    ipForward: readSysctl("net/ipv4/ip_forward"),
    acceptRa: readSysctl("net/ipv6/conf/cni0/accept_ra"),
    pods: pods.map((pod) => {
      using netns = NetNs.open(node.pod(pod));
      const settings = [
        "net/ipv4/conf/eth0/arp_notify",
        // Known: the reference's ptp has the pod detect duplicates on a wire where there is nobody else, for two seconds.
        ...(type === "ptp" ? [] : ["net/ipv6/conf/eth0/accept_dad"]),
        "net/ipv6/conf/eth0/accept_ra",
      ];
      return [ofNamespace(netns), settings.map((name) => readSysctl(name, netns))];
    }),
    files: node.reserved().map((ip) => [ip, node.owner(ip)]),
  };
}

function describe(link: Link, master?: string): unknown {
  const { isUp, mtu, promiscuity, kind, bridgePort } = link;
  const name = plain(link.name);
  // Known: the Debian reference gives a veth no queue length; ours leaves the kernel's 1000. Without a qdisc it means nothing.
  const queue = kind?.kind === "veth" ? undefined : link.txQueueLength;
  // Known: the reference does not wait until the kernel has noticed the carrier of the pod's end and of the bridge.
  const state = name === "veth*" ? [link.flags, link.operState] : link.flags & ~(IFF_RUNNING | IFF_LOWER_UP);
  return { name, isUp, state, mtu, queue, promiscuity, kind, bridgePort, master };
}

const plain = (name: string | undefined): string | undefined => name?.replace(/^veth[0-9a-f]{8}$/, "veth*");
const byText = (a: unknown, b: unknown): number => (text(a) < text(b) ? -1 : 1);
const text = (value: unknown): string =>
  JSON.stringify(value, (_key, part) => (typeof part === "bigint" ? String(part) : part));

/** The result with what is random made plain. */
function plainResult(result: JsonObject): unknown {
  return JSON.parse(text(result), (key, value) => {
    if (key === "mac") return "mac";
    if (key === "sandbox") return "sandbox";
    // Known: ours tells the MTU, as the reference does since 1.5; the Debian one is 1.1.
    if (key === "mtu") return undefined;
    // Known: the reference of that time prints an empty dns in 1.0.0 too.
    if (key === "dns") return undefined;
    return key === "name" ? plain(value) : value;
  });
}

const CONFS: [string, (node: FakeNode) => JsonObject][] = [
  ["flannel's delegate", (node) => node.bridgeConf()],
  [
    "both families",
    (node) =>
      node.bridgeConf({
        ipam: {
          type: "host-local",
          dataDir: node.path("networks"),
          ranges: [[{ subnet: "10.244.1.0/24" }], [{ subnet: "fd00:10:244:1::/64" }]],
          routes: [{ dst: "10.244.0.0/16" }, { dst: "fd00:10:244::/48" }],
        },
      }),
  ],
  ["no gateway", (node) => node.bridgeConf({ isGateway: false, isDefaultGateway: false })],
  [
    "no hairpin, the kernel's MTU, version 0.3.1",
    (node) => node.bridgeConf({ hairpinMode: false, mtu: 0, cniVersion: "0.3.1" }),
  ],
  [
    "promiscuous, version 0.2.0",
    (node) => node.bridgeConf({ hairpinMode: false, promiscMode: true, cniVersion: "0.2.0" }),
  ],
];

const PTP: readonly [string, JsonObject][] = [
  ["ptp", { ipam: { ranges: [[{ subnet: "10.244.1.0/24" }]] } }],
  [
    "ptp of both families, a default route, version 0.4.0",
    {
      cniVersion: "0.4.0",
      mtu: 1400,
      ipam: {
        ranges: [[{ subnet: "10.244.1.0/24" }], [{ subnet: "fd00:10:244:1::/64" }]],
        routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
      },
    },
  ],
];
for (const [what, more] of PTP)
  CONFS.push([
    what,
    (node) => ({
      cniVersion: "1.0.0",
      name: "cbr0",
      type: "ptp",
      ...more,
      ipam: { type: "host-local", dataDir: node.path("networks"), ...(more.ipam as JsonObject) },
    }),
  ]);

for (const [what, confOf] of CONFS)
  test(`bridge and host-local make of a configuration what the reference does: ${what}`, {
    skip,
  }, async (t: TestContext) => {
    const pods = ["p1", "p2"];
    const results: unknown[] = [];
    const states: unknown[] = [];
    for (const add of [reference, (node: FakeNode, ...call: [string, string, JsonObject]) => node.call(...call)]) {
      using node = new FakeNode();
      for (const pod of pods) node.pod(pod);
      const answers = [];
      for (const pod of pods) answers.push(plainResult(ok(await add(node, "ADD", pod, confOf(node)))));
      results.push(answers);
      states.push(kernelState(node, pods, confOf(node).type));
    }
    await t.test("the same result", () => assert.deepEqual(results[1], results[0]));
    await t.test("the same links, addresses, routes, settings and files", () => assert.deepEqual(states[1], states[0]));
  });

test("each deletes what the other added", { skip }, async () => {
  using node = new FakeNode();
  // Without IPAM's route: the reference's CHECK does not find one whose gateway it chose itself.
  const conf = node.bridgeConf({ ipam: { ...(node.bridgeConf().ipam as JsonObject), routes: [] } });
  const ours = (command: string, pod: string, more: JsonObject) => node.call(command, pod, { ...conf, ...more });
  const theirs = (command: string, pod: string, more: JsonObject) =>
    reference(node, command, pod, { ...conf, ...more });
  for (const [add, del] of [
    [ours, theirs],
    [theirs, ours],
  ] as const) {
    node.pod("p1");
    const prevResult = ok(await add("ADD", "p1", {}));
    ok(await ours("CHECK", "p1", { prevResult }));
    ok(await theirs("CHECK", "p1", { prevResult }));
    ok(await del("DEL", "p1", { prevResult }));
    assert.deepEqual(node.reserved(), []);
    node.inPod("p1", (rtnl) =>
      assert.deepEqual(
        rtnl.links().map(({ name }) => name),
        ["lo"],
      ),
    );
  }
});
