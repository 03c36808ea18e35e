import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { pino } from "pino";
import { parsePrefix } from "../formats/netip/index.ts";
import { parseRuleset } from "../formats/nftables/index.ts";
import { Conntrack, Nft } from "../kernel/index.ts";
import { GATEWAY_TABLE, Gateway } from "./index.ts";
import { Cluster, type HostName } from "./testing/cluster.ts";
import { FakeStore } from "./testing/fake-store.ts";

const SPEC = "/podpath/services/specs/default/web";
const SLICE = "/podpath/services/endpointslices/default/web-ipv4";
const SLICE6 = "/podpath/services/endpointslices/default/web-ipv6";
const VIP = "10.96.0.10";
const VIP6 = "fd00:96::10";
const NODE = "203.0.113.1";
const NODE6 = "2001:db8::1";
const POD = { a: "10.244.1.2", b: "10.244.1.3", c: "10.244.2.2" } as const;
const POD6 = { a: "fd00:244:1::2", b: "fd00:244:1::3" } as const;
const SILENT = pino({ level: "silent" });
const skip = whyNot();

/** Why these tests cannot run here, or false. */
function whyNot(): string | false {
  if (process.getuid?.() !== 0) return "needs root, to make network namespaces";
  for (const [program, flag] of [
    ["nft", "--version"],
    ["ip", "-Version"],
    ["busybox", "--help"],
  ] as const)
    if (spawnSync(program, [flag]).status !== 0) return `${program} is not installed`;
  return false;
}

function service(spec: object = {}): object {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", namespace: "default" },
    spec: {
      type: "NodePort",
      clusterIPs: [VIP, VIP6],
      ports: [
        { name: "tcp", protocol: "TCP", port: 80, nodePort: 30080 },
        { name: "udp", protocol: "UDP", port: 80, nodePort: 30080 },
      ],
      ...spec,
    },
  };
}

const PORTS = [
  { name: "tcp", protocol: "TCP", port: 8080 },
  { name: "udp", protocol: "UDP", port: 8080 },
];

function slice6(...pods: readonly (keyof typeof POD6)[]): object {
  const endpoints = pods.map((pod) => ({ addresses: [POD6[pod]], nodeName: "gateway" }));
  const metadata = { name: "web-ipv6", namespace: "default", labels: { "kubernetes.io/service-name": "web" } };
  return { ...slice(), metadata, addressType: "IPv6", endpoints };
}

function slice(...pods: readonly (keyof typeof POD)[]): object {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "web-ipv4", namespace: "default", labels: { "kubernetes.io/service-name": "web" } },
    addressType: "IPv4",
    endpoints: pods.map((pod) => ({ addresses: [POD[pod]], nodeName: pod === "c" ? "node2" : "gateway" })),
    ports: PORTS,
  };
}

describe("Gateway in the kernel", { skip, timeout: 240_000 }, () => {
  let cluster: Cluster;
  let nft: Nft;
  let observer: Nft;
  let gateway: Gateway;
  let running: Promise<void>;
  const store = new FakeStore();
  const stop = new AbortController();
  const table = new EventTarget();

  before(async () => {
    cluster = new Cluster();
    const ns = cluster.namespaces.gateway;
    [nft, observer] = [Nft.open(ns), Nft.open(ns)];
    // What Flannel has in the kernel besides: its postrtg stands at the same hook.
    nft.apply(`table ip flannel-ipv4 { chain postrtg { type nat hook postrouting priority srcnat; policy accept;
      meta mark 0x00004000 return
      ip saddr 10.244.1.0/24 ip daddr 10.244.0.0/16 return
      ip saddr 10.244.0.0/16 ip daddr 10.244.1.0/24 return
      ip saddr != 10.244.1.0/24 ip daddr 10.244.0.0/16 return
      ip saddr 10.244.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random
      ip saddr != 10.244.0.0/16 ip daddr 10.244.0.0/16 masquerade fully-random
    }
    }`);
    store.put(SPEC, service());
    store.put(SLICE, slice("a", "c"));
    store.put(SLICE6, slice6("a", "b"));
    gateway = new Gateway({
      nft,
      ns,
      store,
      families: [4, 6],
      clusterCidrs: [parsePrefix("10.244.0.0/16"), parsePrefix("fd00:244::/32")],
      serviceCidrs: [parsePrefix("10.96.0.0/12"), parsePrefix("fd00:96::/112")],
      nodeName: "gateway",
      egress: { device: "eth1" },
      log: SILENT,
    });
    observer.watch(() => table.dispatchEvent(new Event("change")), { family: "ip", table: GATEWAY_TABLE });
    running = gateway.run(stop.signal);
    await gateway.ready();
    for (const pod of ["a", "b", "c"] as const)
      assert.equal(await cluster.peer(pod).ask({ op: "serve", name: pod, port: 8080 }), "serving");
    await cluster.peer("client").ask({ op: "serve", name: "client", port: 9000 });
  });

  after(async () => {
    stop.abort();
    await running;
    observer[Symbol.dispose]();
    nft[Symbol.dispose]();
    cluster[Symbol.dispose]();
  });

  /** Does `f` and waits until the gateway has written to the kernel for it. */
  async function changed(f: () => void): Promise<void> {
    const written = (): number => gateway.status().syncs.full + gateway.status().syncs.partial;
    const before = written();
    f();
    while (written() === before) await once(table, "change");
  }

  // No UDP port twice: with one that was used a minute ago the client would go on with a flow that is still known.
  let sourcePort = 10_000;

  async function answers(
    from: HostName,
    op: "tcp" | "udp",
    host: string,
    port: number,
    times: number,
  ): Promise<string[]> {
    const seen = new Set<string>();
    for (let i = 0; i < times; i++) {
      const request = op === "tcp" ? { op, host, port } : { op, host, port, sourcePort: sourcePort++ };
      seen.add(await cluster.peer(from).ask(request));
    }
    return [...seen].sort();
  }

  for (const op of ["tcp", "udp"] as const) {
    test(`${op}: the outside client reaches both endpoints by NodePort, as the node's own address`, async () => {
      // 40 draws of two miss one with a probability of 2^-39. A remote pod sees flannel.1's address, a local one cni0's.
      assert.deepEqual(await answers("client", op, NODE, 30080, 40), ["a 10.244.1.1", "c 10.244.1.0"]);
    });

    test(`${op}: the outside client reaches both endpoints by ClusterIP, likewise`, async () => {
      assert.deepEqual(await answers("client", op, VIP, 80, 40), ["a 10.244.1.1", "c 10.244.1.0"]);
    });

    test(`${op}: a pod reaches both endpoints by ClusterIP with its own address`, async () => {
      assert.deepEqual(await answers("b", op, VIP, 80, 40), [`a ${POD.b}`, `c ${POD.b}`]);
    });

    test(`${op}: the node itself reaches both endpoints by ClusterIP and by NodePort`, async () => {
      assert.deepEqual(await answers("gateway", op, VIP, 80, 40), ["a 10.244.1.1", "c 10.244.1.0"]);
      assert.deepEqual(await answers("gateway", op, NODE, 30080, 40), ["a 10.244.1.1", "c 10.244.1.0"]);
    });

    test(`${op}: a pod reaches itself through the Service (hairpin)`, async () => {
      await changed(() => store.put(SLICE, slice("a")));
      assert.deepEqual(await answers("a", op, VIP, 80, 2), ["a 10.244.1.1"]);
      await changed(() => store.put(SLICE, slice("a", "c")));
    });

    test(`${op}: an unknown port of a ClusterIP is refused, from outside and from a pod`, async () => {
      assert.deepEqual(await answers("client", op, VIP, 81, 1), ["ECONNREFUSED"]);
      assert.deepEqual(await answers("b", op, VIP, 81, 1), ["ECONNREFUSED"]);
    });

    test(`${op}: a Service without endpoints is refused, by ClusterIP and by NodePort`, async () => {
      await changed(() => store.put(SLICE, slice()));
      for (const from of ["client", "b", "gateway"] as const)
        assert.deepEqual(await answers(from, op, VIP, 80, 1), ["ECONNREFUSED"], from);
      assert.deepEqual(await answers("client", op, NODE, 30080, 1), ["ECONNREFUSED"]);
      await changed(() => store.put(SLICE, slice("a", "c")));
      assert.deepEqual(await answers("client", op, VIP, 80, 40), ["a 10.244.1.1", "c 10.244.1.0"]);
    });

    test(`${op}: ClientIP affinity holds one client to one endpoint`, async () => {
      await changed(() => store.put(SPEC, service({ sessionAffinity: "ClientIP" })));
      assert.equal((await answers("client", op, VIP, 80, 20)).length, 1);
      assert.equal((await answers("client", op, NODE, 30080, 20)).length, 1);
      await changed(() => store.put(SPEC, service()));
      assert.equal((await answers("client", op, VIP, 80, 40)).length, 2);
    });

    test(`${op}: a pod reaches the outside, masqueraded on the way out`, async () => {
      assert.deepEqual(await answers("a", op, "203.0.113.10", 9000, 1), [`client ${NODE}`]);
      assert.deepEqual(await answers("node2", op, "203.0.113.10", 9000, 1), [`client ${NODE}`]);
    });
  }

  for (const op of ["tcp", "udp"] as const) {
    test(`${op} over IPv6: NodePort and ClusterIP, from outside, from a pod, to itself, and refused`, async () => {
      assert.deepEqual(await answers("client", op, NODE6, 30080, 40), ["a fd00:244:1::1", "b fd00:244:1::1"]);
      assert.deepEqual(await answers("client", op, VIP6, 80, 40), ["a fd00:244:1::1", "b fd00:244:1::1"]);
      // To b a keeps its own address; to itself it comes from cni0.
      assert.deepEqual(await answers("a", op, VIP6, 80, 40), ["a fd00:244:1::1", `b ${POD6.a}`]);
      assert.deepEqual(await answers("client", op, VIP6, 81, 1), ["ECONNREFUSED"]);
      assert.deepEqual(await answers("a", op, "2001:db8::10", 9000, 1), [`client ${NODE6}`]);
    });
  }

  test("a whole new table in the place of the old one loses no connection attempt", async () => {
    let replacements = 0;
    let isDone = false;
    const attempts = answers("client", "tcp", NODE, 30080, 300).finally(() => {
      isDone = true;
    });
    const text = listing();
    while (!isDone) {
      nft.apply(`delete table ip ${GATEWAY_TABLE}\n${text}`);
      replacements++;
      await setImmediate();
    }
    assert.deepEqual(await attempts, ["a 10.244.1.1", "c 10.244.1.0"]);
    assert.ok(replacements > 10);
  });

  test("icmp: echo requests to a ClusterIP reach endpoints, and their answers come from the ClusterIP", () => {
    using conntrack = Conntrack.open(cluster.namespaces.gateway);
    assert.match(cluster.run("client", "busybox", ["ping", "-6", "-c", "1", "-W", "5", VIP6]), /1 packets received/);
    for (const from of ["client", "b"] as const) {
      const pinged = new Set<string>();
      // Each ping process is a flow of its own.
      for (let i = 0; i < 30; i++) {
        assert.match(
          cluster.run(from, "busybox", ["ping", "-c", "1", "-W", "5", VIP]),
          new RegExp(`from ${VIP}: seq=0`),
        );
        for (const { original, reply } of conntrack.list(
          4,
          ({ original }) => original.destination === VIP && original.protocol === 1,
        ))
          if (original.source.startsWith(from === "b" ? POD.b : "203.")) pinged.add(reply.source);
      }
      assert.deepEqual([...pinged].sort(), [POD.a, POD.c], from);
    }
  });

  test("a UDP flow moves to a new endpoint when its own is taken away, and keeps it when not", async () => {
    const ask = (): Promise<string> =>
      cluster.peer("client").ask({ op: "udp", host: VIP, port: 80, sourcePort: 40000 });
    await changed(() => store.put(SLICE, slice("a")));
    assert.equal(await ask(), "a 10.244.1.1");
    await changed(() => store.put(SLICE, slice("a", "c")));
    assert.equal(await ask(), "a 10.244.1.1");
    await changed(() => store.put(SLICE, slice("b")));
    assert.equal(await ask(), "b 10.244.1.1");
    await changed(() => store.put(SLICE, slice("a", "c")));
  });

  test("a TCP connection opened before an update goes to the old endpoint, one opened after it to the new", async () => {
    await changed(() => store.put(SLICE, slice("c")));
    assert.deepEqual(await answers("client", "tcp", NODE, 30080, 5), ["c 10.244.1.0"]);
    await changed(() => store.put(SLICE, slice("b")));
    assert.deepEqual(await answers("client", "tcp", NODE, 30080, 5), ["b 10.244.1.1"]);
    await changed(() => store.put(SLICE, slice("a", "c")));
  });

  test("after `nft flush ruleset` everything is back", async () => {
    const before = listing();
    await changed(() => void cluster.run("gateway", "nft", ["flush", "ruleset"]));
    assert.deepEqual(listing(), before);
    assert.deepEqual(await answers("client", "tcp", NODE, 30080, 40), ["a 10.244.1.1", "c 10.244.1.0"]);
  });

  test("a bad value is passed over and counted, and what the key held stays in force", async () => {
    store.put(SPEC, "{");
    store.put("/podpath/services/specs/default/other", service());
    await changed(() => store.put(SLICE, slice("b")));
    assert.equal(gateway.status().badValues.size, 2);
    assert.deepEqual(await answers("client", "tcp", VIP, 80, 1), ["b 10.244.1.1"]);
    store.put(SPEC, service());
    store.delete("/podpath/services/specs/default/other");
    await changed(() => store.put(SLICE, slice("a", "c")));
    assert.equal(gateway.status().badValues.size, 0);
  });

  test("a Service that goes takes its rules along; what it does not own stays", async () => {
    await changed(() => store.delete(SPEC));
    const { sets } = parseRuleset(nft.list(`list table ip ${GATEWAY_TABLE}`));
    assert.deepEqual(
      sets.filter(({ elements }) => elements.length > 0),
      [],
    );
    assert.ok(parseRuleset(nft.listRuleset()).chains.length > 0);
    await changed(() => store.put(SPEC, service()));
    assert.deepEqual(await answers("b", "tcp", VIP, 80, 40), [`a ${POD.b}`, `c ${POD.b}`]);
  });

  /** The table without handles, which count up with each rewriting. */
  function listing(): string {
    return cluster.run("gateway", "nft", ["-s", "list", "table", "ip", GATEWAY_TABLE]);
  }
});
