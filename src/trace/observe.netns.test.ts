import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { createUnnamedNetNs } from "../kernel/index.ts";
import { type Cast, type Hop, type ProbeProtocol, WALKS, type Walk } from "../model/index.ts";
import { compare, hopTable, type Observation, Observer, observe } from "./index.ts";
import { ACROSS_CAST, Cluster, type Name, NODE1_CAST } from "./testing/cluster.ts";

function why(): string | false {
  for (const program of ["ip", "bridge", "nft"])
    if (spawnSync(program, ["-V"]).error) return `${program} is not installed`;
  try {
    using _ns = createUnnamedNetNs();
    return false;
  } catch (error) {
    return `no network namespaces here: ${error instanceof Error ? error.message : error}`;
  }
}
const skip = why();
let cluster: Cluster;
let observer: Observer;

before(async () => {
  if (skip) return;
  cluster = await Cluster.create();
  observer = Observer.open(cluster.namespaces());
});
after(() => {
  observer?.close();
  cluster?.[Symbol.dispose]();
});

interface Probe {
  readonly from: Name;
  readonly host: string;
  readonly port?: number;
  readonly timeoutMs?: number;
}

function probe(protocol: ProbeProtocol, { from, host, port = 8080, timeoutMs }: Probe): Promise<Observation> {
  const id = randomBytes(6).toString("hex");
  const text = `podpath-ping ${id} `.padEnd(150 + (id.charCodeAt(0) % 64), ".");
  const [requestBytes, replyBytes] = [text.length, text.length];
  return observer.observe({
    match: {
      protocol,
      request: `podpath-ping ${id}`,
      reply: `${protocol === "icmp" ? "podpath-ping" : "podpath-pong"} ${id}`,
      port,
      requestBytes,
      replyBytes,
    },
    run: () =>
      protocol === "icmp"
        ? cluster.ping(from, host, text, timeoutMs)
        : cluster.ask(from, { protocol, host, port, text }, timeoutMs),
  });
}

const SCENARIOS: [walk: Walk | undefined, probe: Probe, cast: Cast][] = [
  [WALKS[0], { from: "pod-a", host: "127.0.0.1" }, NODE1_CAST],
  [WALKS[1], { from: "pod-a", host: "10.244.1.3" }, NODE1_CAST],
  [WALKS[2], { from: "node1", host: "10.244.1.3" }, NODE1_CAST],
  [WALKS[3], { from: "pod-a", host: "10.244.2.2" }, ACROSS_CAST],
  [WALKS[4], { from: "client", host: "10.96.0.10", port: 80 }, ACROSS_CAST],
  [WALKS[5], { from: "pod-a", host: "203.0.113.10" }, ACROSS_CAST],
];
for (const [walk, asked, cast] of SCENARIOS)
  for (const protocol of ["udp", "tcp", "icmp"] as const)
    test(`the kernel walks scenario ${walk?.number} (${walk?.name}) over ${protocol} as the data file says`, {
      skip,
    }, async (t) => {
      assert.ok(walk);
      const { hops, evidence, unavailable, error } = await probe(protocol, asked);
      assert.equal(error, undefined);
      const differences = compare(hops, walk, cast);
      if (differences.length > 0 || process.env.PODPATH_SHOW)
        t.diagnostic(`\n${hopTable(hops, { evidence: true })}\n${evidence.join("\n")}`);
      assert.deepEqual(differences, []);
      assert.deepEqual(
        unavailable.filter((what) => !what.startsWith("kernel tracepoints")),
        [],
      );
      assertTimes(hops);
      if (protocol === "tcp")
        assert.match(evidence[0] ?? "", /^TCP handshake: SYN -[\d.]+ µs, SYN-ACK -[\d.]+ µs, ACK -[\d.]+ µs$/);
    });

/** Times never go back inside a leg, and begin at zero. */
function assertTimes(hops: readonly Hop[]): void {
  assert.equal(hops[0]?.tUs, 0);
  for (const [i, hop] of hops.entries())
    assert.ok(hop.tUs >= (hops[i - 1]?.tUs ?? 0), `hop ${i + 1} is at ${hop.tUs} µs, after ${hops[i - 1]?.tUs}`);
}

test("the tracepoints name the route that each node chose, and the skb at each device", { skip }, async (t) => {
  const { hops, unavailable } = await probe("udp", { from: "pod-a", host: "10.244.2.2" });
  const missing = unavailable.find((what) => what.startsWith("kernel tracepoints"));
  if (missing) return t.skip(missing);
  const routed = hops.find((hop) => hop.netns === "node1" && hop.device === "cni0");
  assert.match(
    routed?.evidence.join("\n") ?? "",
    /fib_table_lookup: .*10\.244\.1\.2\S* -> 10\.244\.2\.2\S* .*==> dev flannel\.1 gw 10\.244\.2\.0/,
  );
  for (const hop of hops)
    assert.match(
      hop.evidence[0] ?? "",
      /^(net_dev_queue|netif_receive_skb): dev=/,
      `${hop.netns}/${hop.device} ${hop.direction}`,
    );
});

test("a lost request is shown up to where the kernel dropped it, with the kernel's reason", { skip }, async (t) => {
  cluster.sysctl("node2", "net/ipv4/ip_forward", "0");
  try {
    const { hops, error, unavailable } = await probe("udp", { from: "pod-a", host: "10.244.2.2", timeoutMs: 200 });
    assert.match(String(error), /timed out/);
    const [difference, reply] = compare(hops, WALKS[3] as Walk, ACROSS_CAST);
    assert.equal(difference?.kind, "OBSERVED_EARLIER_LOSS");
    assert.match(difference?.text ?? "", /last seen at node2\/flannel\.1 rx, expected next at node2\/cni0 tx/);
    assert.match(reply?.text ?? "", /the reply was never seen/);
    if (unavailable.length > 0) return t.skip(unavailable.join("; "));
    assert.match(difference?.text ?? "", /dropped, reason IP_INADDRERRORS/);
  } finally {
    cluster.sysctl("node2", "net/ipv4/ip_forward", "1");
  }
});

test("a connection that never comes about is shown by its SYN and the answer to it", { skip }, async () => {
  const refused = await probe("tcp", { from: "pod-a", host: "10.244.2.2", port: 9 });
  assert.match(String(refused.error), /ECONNREFUSED/);
  assert.match(refused.evidence.join("\n"), /the connection did not come about/);
  assert.deepEqual(compare(refused.hops, WALKS[3] as Walk, ACROSS_CAST), []);
  assert.match(refused.hops[0]?.summary ?? "", /Flags \[S\]/);
  assert.match(refused.hops.at(-1)?.summary ?? "", /Flags \[R\.\]/);
});

test("copies that a switch floods to everybody are left out, and said", { skip }, async () => {
  // Without memory a bridge is a hub.
  cluster.run("fabric", "ip link set fabric type bridge ageing_time 0");
  try {
    const { hops, evidence } = await probe("udp", { from: "pod-a", host: "10.244.2.2" });
    assert.deepEqual(compare(hops, WALKS[3] as Walk, ACROSS_CAST), [], hopTable(hops));
    assert.match(evidence.join("\n"), /a bridge flooded a copy of the request to gateway\/eth0/);
  } finally {
    cluster.run("fabric", "ip link set fabric type bridge ageing_time 30000");
  }
});

test("observe() opens the captures for one probe, and says what it does without", { skip }, async () => {
  const { hops, unavailable } = await observe({
    namespaces: cluster.namespaces(),
    withoutTracefs: "not asked for",
    match: { protocol: "udp", request: "podpath-ping once", reply: "podpath-pong once" },
    run: () => cluster.ask("pod-a", { protocol: "udp", host: "10.244.1.3", port: 8080, text: "podpath-ping once" }),
  });
  assert.deepEqual(compare(hops, WALKS[1] as Walk, NODE1_CAST), []);
  assert.deepEqual(unavailable, ["kernel tracepoints: not asked for"]);
  assert.deepEqual(hops[1]?.evidence, []);
});

test("a rule that should not be there shows as a change that the walk does not have", { skip }, async () => {
  cluster.run(
    "node1",
    "nft -f -",
    "table ip extra { chain p { type nat hook postrouting priority 50; ip daddr 10.244.2.2 masquerade; }; }\n",
  );
  try {
    const { hops } = await probe("udp", { from: "pod-a", host: "10.244.2.2" });
    const [difference] = compare(hops, WALKS[3] as Walk, ACROSS_CAST);
    assert.equal(difference?.kind, "OBSERVED_DIFFERENT_PACKET");
    assert.deepEqual(difference?.extraChanges, ["snat"]);
    assert.match(
      difference?.text ?? "",
      /at node1\/flannel\.1 tx: not expected: snat \(source 10\.244\.1\.2:\d+ -> 10\.244\.1\.0:\d+\)/,
    );
  } finally {
    cluster.run("node1", "nft delete table ip extra");
  }
});
