import assert from "node:assert/strict";
import { mkdtempSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { findProgram } from "../kernel/index.ts";
import { CONFIG_KEY, NETWORK_CONFIG, TestCluster, type TestNode } from "./testing/cluster.ts";
import { startFlanneld, whyNoFlanneld } from "./testing/flanneld.ts";

const skip =
  process.getuid?.() !== 0
    ? "needs root: it makes network namespaces"
    : findProgram("iptables-legacy")
      ? false
      : "iptables is not installed (apt-get install iptables)";

const DUAL = { ...NETWORK_CONFIG, EnableIPv6: true, IPv6Network: "2001:cafe:42::/56" };
const IPTABLES = "--masquerade-mode=iptables";
const NO_GATEWAY = "--gateway=false";

/** A PATH in which `iptables` is the one of this variant, or which has none at all. */
function pathWith(cluster: TestCluster, variant: "nft" | "legacy" | "none"): string {
  const folder = mkdtempSync(join(cluster.dir, "path-"));
  for (const program of ["nft", "setpriv"]) symlinkSync(findProgram(program) ?? "", join(folder, program));
  if (variant === "none") return folder;
  for (const name of ["iptables", "ip6tables"])
    for (const suffix of ["", "-save", "-restore"]) {
      symlinkSync(findProgram(`${name}-${variant}${suffix}`) ?? "", join(folder, `${name}${suffix}`));
      for (const v of ["nft", "legacy"])
        symlinkSync(findProgram(`${name}-${v}${suffix}`) ?? "", join(folder, `${name}-${v}${suffix}`));
    }
  return folder;
}

const VARIANTS = ["nft", "legacy"] as const;

/** Every trace of podpath's and Flannel's rules on the node, in lines. */
function traces(node: TestNode): string[] {
  const listings = VARIANTS.flatMap((v) => [`iptables-${v}-save`, `ip6tables-${v}-save`]).map((program) => {
    const lines = node.run(program).split("\n");
    return lines.filter((line) => /FLANNEL|flannel/.test(line)).map((line) => `${program}: ${line}`);
  });
  const tables = node.run("nft list tables").split("\n");
  return [...listings.flat(), ...tables.filter((line) => line.includes("flannel"))];
}

const only = (node: TestNode, place: RegExp): void => {
  const found = traces(node);
  assert.notEqual(found.length, 0);
  assert.deepEqual(
    found.filter((line) => !place.test(line)),
    [],
  );
};

/** With the PATH of the agent itself changed, as where `iptables` is another one or is not installed. */
function startWith(
  cluster: TestCluster,
  node: TestNode,
  path: string,
  ...args: string[]
): ReturnType<TestCluster["startAgent"]> {
  const before = process.env.PATH;
  process.env.PATH = path;
  try {
    return cluster.startAgent(node, ...args);
  } finally {
    process.env.PATH = before;
  }
}

describe("the masquerade rules of podpath agent", { skip }, () => {
  for (const variant of VARIANTS)
    it(`are Flannel's in iptables-${variant} where that is asked for, and come back`, async () => {
      await using cluster = await TestCluster.start(DUAL);
      const node = cluster.addNode(1);
      const agent = startWith(cluster, node, pathWith(cluster, variant), IPTABLES, "--iptables-resync=1", NO_GATEWAY);
      const { subnet = "", ipv6Subnet = "" } = await agent.ready;
      only(node, new RegExp(`^ip6?tables-${variant}-save`));
      const rules = (): string => node.run(`iptables-${variant} -t nat -S FLANNEL-POSTRTG`);
      const comment = '-m comment --comment "flanneld masq"';
      assert.equal(
        rules(),
        [
          "-N FLANNEL-POSTRTG",
          `-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 ${comment} -j RETURN`,
          `-A FLANNEL-POSTRTG -s ${subnet} -d 10.244.0.0/16 ${comment} -j RETURN`,
          `-A FLANNEL-POSTRTG -s 10.244.0.0/16 -d ${subnet} ${comment} -j RETURN`,
          `-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d ${subnet} ${comment} -j RETURN`,
          `-A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 ${comment} -j MASQUERADE --random-fully`,
          `-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.0.0/16 ${comment} -j MASQUERADE --random-fully`,
          "",
        ].join("\n"),
      );
      assert.match(node.run(`ip6tables-${variant} -t nat -S FLANNEL-POSTRTG`), new RegExp(`-s ${ipv6Subnet} `));
      const good = traces(node);
      node.run(`iptables-${variant} -t nat -F FLANNEL-POSTRTG`);
      await agent.logged("masquerade rules in iptables had been changed by someone else");
      assert.deepEqual(traces(node), good);
      assert.deepEqual((await agent.status()).masquerade, { mode: "iptables", isInPlace: true });
    });

  it("leave nothing behind when the mode or the variant is another one, and foreign rules alone", async () => {
    await using cluster = await TestCluster.start(DUAL);
    const node = cluster.addNode(1);
    for (const variant of VARIANTS) node.run(`iptables-${variant} -t nat -A POSTROUTING -s 10.99.0.0/16 -j ACCEPT`);
    const nft = /^table ip6? flannel-ipv/;
    const steps: readonly (readonly ["nft" | "legacy" | "none", readonly string[], RegExp])[] = [
      ["nft", [], nft],
      ["nft", [IPTABLES], /^ip6?tables-nft-save/],
      ["legacy", [IPTABLES], /^ip6?tables-legacy-save/],
      ["nft", [IPTABLES], /^ip6?tables-nft-save/],
      ["none", [], nft],
      ["legacy", [IPTABLES], /^ip6?tables-legacy-save/],
      ["nft", [], nft],
    ];
    for (const [variant, args, place] of steps) {
      const agent = startWith(cluster, node, pathWith(cluster, variant), NO_GATEWAY, ...args);
      await agent.ready;
      only(node, place);
      await agent.kill("SIGKILL");
    }
    const last = startWith(cluster, node, pathWith(cluster, "legacy"), NO_GATEWAY, IPTABLES);
    await last.ready;
    await last.kill("SIGKILL");
    const off = ["--ip-masq=false", "--iptables-forward-rules=false", NO_GATEWAY];
    await cluster.startAgent(node, ...off).ready;
    assert.deepEqual(traces(node), []);
    for (const variant of VARIANTS) assert.match(node.run(`iptables-${variant}-save`), /-s 10\.99\.0\.0\/16 -j ACCEPT/);
  });

  it("leave nothing behind of a family or a network that was, and podpath cleanup takes all", async () => {
    await using cluster = await TestCluster.start(DUAL);
    const node = cluster.addNode(1);
    const args = [IPTABLES, NO_GATEWAY];
    const first = cluster.startAgent(node, ...args);
    await first.ready;
    await first.kill("SIGKILL");
    await cluster.store.put(CONFIG_KEY, JSON.stringify({ Network: "10.77.0.0/16", Backend: { Type: "vxlan" } }));
    const second = cluster.startAgent(node, ...args);
    await second.ready;
    assert.deepEqual(
      traces(node).filter((line) => /ip6tables|10\.244\./.test(line)),
      [],
    );
    assert.ok(traces(node).some((line) => line.includes("10.77.0.0/16")));
    await second.kill("SIGKILL");
    const { code, stdout } = await cluster.podpath(node, "cleanup", `--subnet-file=${node.subnetFile}`);
    assert.equal(code, 0, stdout);
    assert.deepEqual(traces(node), []);
  });

  it("need no iptables in nft mode, and say so where it is missing in iptables mode", async () => {
    await using cluster = await TestCluster.start();
    const [one, two] = [cluster.addNode(1), cluster.addNode(2)];
    const path = pathWith(cluster, "none");
    await startWith(cluster, one, path).ready;
    only(one, /^table ip flannel-ipv4/);
    const agent = startWith(cluster, two, path, IPTABLES);
    assert.equal((await agent.exit).code, 1);
    assert.match(
      agent.log(),
      /iptables-save, iptables-restore not all are in PATH.*--masquerade-mode=nft, the default/,
    );
    assert.equal(
      agent
        .log()
        .trim()
        .split("\n")
        .filter((line) => /not all are in PATH/.test(line)).length,
      1,
    );
    assert.deepEqual(traces(two), []);
  });

  it("are tables of our own where the network config says EnableNFTables: true, whatever the flag", async () => {
    await using cluster = await TestCluster.start({ ...NETWORK_CONFIG, EnableNFTables: true });
    const node = cluster.addNode(1);
    const agent = cluster.startAgent(node, IPTABLES);
    await agent.ready;
    only(node, /^table ip flannel-ipv4/);
    assert.match(agent.log(), /--masquerade-mode=iptables has no effect/);
  });

  it("leave the destinations of --non-masquerade-cidr alone, in both modes", async () => {
    await using cluster = await TestCluster.start();
    const [one, two] = [cluster.addNode(1), cluster.addNode(2)];
    const list = "--non-masquerade-cidr=10.0.0.0/8,2001:db8::/32";
    const agents = [cluster.startAgent(one, list), cluster.startAgent(two, IPTABLES, list)];
    for (const agent of agents) {
      await agent.ready;
      assert.match(agent.log(), /--non-masquerade-cidr 2001:db8::\/32 has no effect: the network has no IPv6/);
    }
    assert.match(
      one.run("nft list table ip flannel-ipv4"),
      /ip saddr 10\.244\.0\.0\/16 ip daddr 10\.0\.0\.0\/8 return/,
    );
    assert.match(two.run("iptables -t nat -S"), /-s 10\.244\.0\.0\/16 -d 10\.0\.0\.0\/8 .* -j RETURN/);
  });

  it("are told by podpath status, /readyz and /metrics in iptables mode too", async () => {
    await using cluster = await TestCluster.start();
    const node = cluster.addNode(1);
    const args = [IPTABLES, NO_GATEWAY, "--iptables-resync=1", "--healthz-ip=127.0.0.1", "--healthz-port=8081"];
    const agent = cluster.startAgent(node, ...args);
    await agent.ready;
    const ask = (path: string): string => node.run(`${process.execPath} -e ${ASK} http://127.0.0.1:8081${path}`);
    assert.match(ask("/readyz"), /^200 flanneld is ready/);
    node.run("iptables -t nat -F FLANNEL-POSTRTG");
    await agent.logged("masquerade rules in iptables had been changed by someone else");
    assert.match(ask("/metrics"), /^podpath_masquerade_restored_total 1$/m);
    await agent.kill("SIGKILL");
    const look = (): ReturnType<TestCluster["podpath"]> =>
      cluster.podpath(node, "status", ...statusFlags(cluster, node), IPTABLES, "--ip-masq", NO_GATEWAY, "--json");
    assert.match((await look()).stdout, /"of":\s*"masquerade and forward rules",\s*"verdict":\s*"ok"/);
    node.run("iptables -A FLANNEL-FWD -j DROP");
    assert.match((await look()).stdout, /"verdict":\s*"drift",\s*"why":\s*"IPv4, what a repair would do: \*filter/);
  });
});

const statusFlags = (cluster: TestCluster, node: TestNode): string[] => [
  `--etcd-endpoints=${cluster.endpoint}`,
  `--subnet-file=${node.subnetFile}`,
  `--node-name=${node.name}`,
];
const ASK = "fetch(process.argv[1]).then(async(r)=>console.log(r.status+String.fromCharCode(32)+(await(r.text()))))";

describe("after Flannel's own daemon, podpath agent", { skip: skip || whyNoFlanneld() }, () => {
  for (const [flannels, EnableNFTables] of [
    ["iptables", false],
    ["nft", true],
  ] as const)
    for (const [ours, args, place] of [
      ["nft", [], /^table ip flannel-ipv4/],
      ["iptables", [IPTABLES], /^iptables-nft-save/],
    ] as const)
      it(`keeps its rules in ${ours} mode and leaves nothing of Flannel's ${flannels} mode`, async () => {
        await using cluster = await TestCluster.start({ ...NETWORK_CONFIG, EnableNFTables });
        const node = cluster.addNode(1);
        const flannel = startFlanneld(cluster, node);
        await flannel.ready;
        await flannel.kill("SIGKILL");
        assert.ok(traces(node).length > 0);
        await cluster.store.put(CONFIG_KEY, JSON.stringify(NETWORK_CONFIG));
        const before = traces(node);
        const agent = cluster.startAgent(node, NO_GATEWAY, ...args);
        await agent.ready;
        only(node, place);
        // Rule by rule the same, so that nothing had to be written.
        if (flannels === ours && ours === "iptables") assert.deepEqual(traces(node), before);
      });
});
