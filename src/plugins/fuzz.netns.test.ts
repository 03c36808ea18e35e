// 100,000 calls that nobody should make, in a machine of their own with all but its /tmp read-only: each is answered, by
// one JSON document of the specification or by nothing, soon, without a stack trace; and a network that was made is
// unmade by the same words.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import type { JsonObject } from "../formats/cni/index.ts";
import type { Rtnl } from "../kernel/index.ts";
import { inPrivateMachine } from "../kernel/testing/private-machine.ts";
import { Host } from "./host.ts";
import { PLUGINS } from "./registry.ts";
import { type PluginReply, type PluginRequest, runPlugin } from "./skel.ts";
import { FakeNode } from "./testing/fake-node.ts";
import { damage, mutate, mutations } from "./testing/mutations.ts";

const CALLS = 100_000;
/** So many calls go by between two looks at what they left. */
const CHUNK = 2000;
const HANG_MS = 20_000;

inPrivateMachine(import.meta.url, () => {
  test(`${CALLS} mutated calls are answered as the specification says, and change nothing but what they name`, async (t) => {
    // A conf may name any path. Here none but the test's own folders can be written to.
    const { status, stderr } = spawnSync("sh", ["-ec", "mount -t tmpfs tmpfs /tmp; mount -o remount,bind,ro /"], {
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    using node = new FakeNode();
    mkdirSync(node.path("bin"));
    process.chdir(node.folder);
    using host = new Host({ patienceMs: 0 });
    // The same calls each time, so that a change is what makes it fail; PODPATH_FUZZ_SEED=N looks for others.
    const seed = Number(process.env.PODPATH_FUZZ_SEED ?? 20_261_125);
    const counts = new Map<string, number>();
    for (let done = 0; done < CALLS; done += CHUNK) {
      const property = fc.asyncProperty(calls(node), async (call) => {
        const kind = await answeredWell(call, host);
        counts.set(kind, (counts.get(kind) ?? 0) + 1);
      });
      await fc.assert(property, { numRuns: CHUNK, seed: seed + done, includeErrorInReport: true });
      await leftNothing(node, host, seed + done);
    }
    t.diagnostic(
      `seed ${seed}: ${[...counts]
        .sort()
        .map(([kind, count]) => `${kind} ${count}`)
        .join(", ")}`,
    );
    // A fuzzer whose calls all end at the first check tests that check.
    assert.ok((counts.get("ADD ok") ?? 0) > CALLS / 1000, "too few of the calls got through");
  });
});

/** A network and a container for each plugin, as runtimes send them. */
function corpus(node: FakeNode): JsonObject[] {
  const prevResult = {
    cniVersion: "1.0.0",
    interfaces: [
      { name: "cni0" },
      { name: "veth1" },
      { name: "eth0", mac: "02:00:00:00:00:01", sandbox: node.pod("p1") },
    ],
    ips: [{ interface: 2, address: "10.244.1.2/24", gateway: "10.244.1.1" }],
    routes: [{ dst: "0.0.0.0/0", gw: "10.244.1.1" }],
    dns: { nameservers: ["10.96.0.10"], search: ["cluster.local"] },
  };
  const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: "tcp", hostIP: "192.0.2.1" }];
  const ipam = node.bridgeConf().ipam as JsonObject;
  const plain = [
    node.flannelConf(),
    node.flannelConf({ runtimeConfig: { mac: "02:00:00:00:00:02" }, cniVersion: "0.3.1" }),
    node.bridgeConf(),
    node.bridgeConf({ ipMasq: true, hairpinMode: false, isGateway: true, runtimeConfig: { ips: ["10.244.1.9"] } }),
    node.bridgeConf({ macspoofchk: true, portIsolation: true, mtu: 1400, cniVersion: "0.4.0" }),
    {
      ...node.bridgeConf(),
      type: "host-local",
      ipam: { ...ipam, ranges: [[{ subnet: "10.9.0.0/24", rangeStart: "10.9.0.5" }]] },
    },
    { ...node.bridgeConf(), type: "ptp", ipMasq: true },
    { cniVersion: "1.0.0", name: "lo", type: "loopback" },
    { cniVersion: "1.0.0", name: "cbr0", type: "portmap", runtimeConfig: { portMappings }, snat: true },
    {
      cniVersion: "1.0.0",
      name: "cbr0",
      type: "bandwidth",
      runtimeConfig: { bandwidth: { ingressRate: 1e6, ingressBurst: 1e6 } },
    },
    { cniVersion: "1.0.0", name: "cbr0", type: "tuning", sysctl: { "net.core.somaxconn": "500" }, mtu: 1300 },
    { cniVersion: "1.0.0", name: "cbr0", type: "firewall", ingressPolicy: "same-bridge" },
  ].filter(({ type }) => PLUGINS.has(String(type)));
  const attachments = [{ containerID: "p9", ifname: "eth0" }];
  return plain.flatMap((conf) => [
    conf,
    { ...conf, prevResult },
    { ...conf, cniVersion: "1.1.0", "cni.dev/valid-attachments": attachments },
  ]);
}

/** A call: a conf of the corpus with some changes, in an environment with some. */
function calls(node: FakeNode): fc.Arbitrary<PluginRequest> {
  const conf = fc.record({ conf: fc.constantFrom(...corpus(node)), changes: mutations, broken: damage });
  const command = fc.constantFrom("ADD", "ADD", "ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION", "add", "", "\0");
  const good = node.environment("ADD", "p1");
  // Most of the time nothing but one of them is wrong.
  const one = (key: string, ...values: string[]): fc.Arbitrary<string | undefined> =>
    fc.oneof(
      { weight: 12, arbitrary: fc.constant(good[key]) },
      fc.constantFrom(...values, undefined, "", "\0", "x".repeat(300)),
      fc.string({ unit: "binary", maxLength: 20 }),
    );
  const env = fc.record({
    CNI_COMMAND: command,
    CNI_CONTAINERID: one("CNI_CONTAINERID", "p2", "../p1", "a b", "-"),
    CNI_NETNS: one(
      "CNI_NETNS",
      "/proc/self/ns/net",
      "/dev/null",
      "/proc/1/ns/pid",
      "/nonexistent",
      "relative",
      node.path("bin"),
    ),
    CNI_IFNAME: one("CNI_IFNAME", "eth1", "lo", ".", "..", "a/b", "a:b", "sixteen-letters-"),
    CNI_PATH: one("CNI_PATH", ":", "/nonexistent", "bin"),
    CNI_ARGS: one(
      "CNI_ARGS",
      "IgnoreUnknown=1;K8S_POD_NAME=x",
      "IP=10.244.1.77",
      "MAC=02:00:00:00:00:07",
      "A=B=C",
      ";",
      "IP=",
      "MAC=zz",
    ),
  });
  const name = fc.oneof(
    { weight: 20, arbitrary: fc.constant(undefined) },
    fc.constantFrom("", "nothing", "/a/b/bridge", "__proto__"),
  );
  return fc.tuple(conf, env, name).map(([{ conf, changes, broken }, env, name]) => {
    const mutated = mutate(conf, changes);
    return { name: name ?? String(conf.type), env, stdin: broken(JSON.stringify(mutated)) };
  });
}

/** Makes the call, and takes back what it made. Gives its verb and how it ended. */
async function answeredWell(call: PluginRequest, host: Host): Promise<string> {
  const reply = await soon(runPlugin(call, host));
  const command = call.env.CNI_COMMAND ?? "";
  const json = documentOf(reply);
  if (reply.exitCode !== 0) {
    assert.ok(Number.isInteger(json?.code) && Number(json?.code) > 0, `no code: ${reply.stdout}`);
    assert.ok(typeof json?.msg === "string" && json.msg !== "", `no msg: ${reply.stdout}`);
    return `${command} refused`;
  }
  if (command === "ADD") {
    assert.ok(typeof json?.cniVersion === "string", reply.stdout);
    const undone = await soon(runPlugin({ ...call, env: { ...call.env, CNI_COMMAND: "DEL" } }, host));
    assert.equal(undone.exitCode, 0, `ADD succeeded, and DEL by the same words did not: ${undone.stdout}`);
  } else if (command !== "VERSION") assert.equal(reply.stdout, "");
  return `${command} ok`;
}

/** stdout is one JSON object or empty, and nowhere is there a word of how the program is built. */
function documentOf({ stdout, stderr }: PluginReply): JsonObject | undefined {
  assert.doesNotMatch(stdout + stderr, /\n\s+at |TypeError|ReferenceError|is not a function|of undefined|of null/);
  return stdout === "" ? undefined : JSON.parse(stdout);
}

async function soon(reply: Promise<PluginReply>): Promise<PluginReply> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${HANG_MS} ms`)), HANG_MS);
  });
  return Promise.race([reply, late]).finally(() => clearTimeout(timer));
}

/** No device but bridges, nothing in the pod, no address held, no rule of a container. */
async function leftNothing(node: FakeNode, host: Host, seed: number): Promise<void> {
  const where = `after the calls of seed ${seed}`;
  for (const end = performance.now() + 5000; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
    host.removal.sweep(); // what DEL has put aside
    const links = host.rtnl.links().filter(({ name, kind }) => name !== "lo" && kind?.kind !== "bridge");
    if (links.length === 0) break;
    assert.ok(performance.now() < end, `${where}: ${links.map(({ name }) => name)}`);
  }
  node.inPod("p1", (pod: Rtnl) =>
    assert.deepEqual(
      pod.links().map(({ name }) => name),
      ["lo"],
      where,
    ),
  );
  const held = readdirSync(node.folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /^[\d.]+$|^[\da-f:]*::[\da-f:]*$/.test(entry.name))
    .map(({ path, name }) => `${path}/${name}`);
  assert.deepEqual(held, [], where);
  const rules = spawnSync("nft", ["list", "ruleset"], { encoding: "utf8" }).stdout;
  assert.doesNotMatch(rules, /p1/, where);
}
