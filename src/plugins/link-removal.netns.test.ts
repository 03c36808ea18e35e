import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import type { JsonObject } from "../formats/cni/index.ts";
import { newLink, setLink } from "../formats/netlink/index.ts";
import { inNs, NetNs, Rtnl } from "../kernel/index.ts";
import { Host } from "./host.ts";
import { ASIDE_GROUP } from "./link-removal.ts";
import { type FakeNode, netnsTest, ok } from "./testing/fake-node.ts";

const links = (rtnl: Rtnl): string[] =>
  rtnl
    .links()
    .map(({ name }) => name)
    .sort();

/** Polls until the host has these links alone; the deadline is for a machine that does other things. */
async function eventually(rtnl: Rtnl, names: readonly string[]): Promise<void> {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline && links(rtnl).length > names.length; )
    await delay(5);
  assert.deepEqual(links(rtnl), names);
}

async function add(node: FakeNode, pods: readonly string[], host?: Host): Promise<JsonObject[]> {
  const confs = [];
  for (const pod of pods) {
    node.pod(pod);
    confs.push({
      ...node.flannelConf(),
      prevResult: ok(await node.call("ADD", pod, node.flannelConf(), {}, host)),
    });
  }
  return confs;
}

netnsTest("an impatient DEL answers when the interface is out of use, and its name is free at once", async (node) => {
  using host = new Host({ patienceMs: 0 });
  const [conf] = await add(node, ["p1"], host);
  for (let i = 0; i < 5; i++) {
    ok(await node.call("DEL", "p1", conf ?? {}, {}, host));
    node.inPod("p1", (rtnl) => {
      assert.equal(rtnl.link("eth0"), undefined);
      // What is still on its way out, if anything, is down: it has no routes, and answers nobody.
      for (const link of rtnl.links()) assert.ok(link.name === "lo" || !link.isUp, link.name);
      assert.deepEqual(rtnl.routes({ family: 4, table: 254 }), []);
    });
    ok(await node.call("ADD", "p1", node.flannelConf(), {}, host));
  }
  ok(await node.call("DEL", "p1", conf ?? {}, {}, host));
  await eventually(host.rtnl, ["cni0", "lo"]);
});

netnsTest("DELs in parallel, and one after the other as fast as they go, leave nothing", async (node) => {
  using host = new Host({ patienceMs: 5 });
  const pods = Array.from({ length: 12 }, (_, i) => `p${i}`);
  for (const inTurns of [false, true]) {
    const confs = await add(node, pods, host);
    const del = async (pod: string, i: number) => ok(await node.call("DEL", pod, confs[i] ?? {}, {}, host));
    if (inTurns) for (const [i, pod] of pods.entries()) await del(pod, i);
    else await Promise.all(pods.map(del));
    assert.deepEqual(node.reserved(), []);
    await eventually(host.rtnl, ["cni0", "lo"]);
    for (const pod of pods) node.inPod(pod, (rtnl) => assert.deepEqual(links(rtnl), ["lo"]));
  }
});

netnsTest(
  "what a DEL has put aside before its process was killed goes with the next sweep, and nothing else",
  async (node) => {
    using host = new Host();
    const [conf] = await add(node, ["p1"]);
    // The process dies where it has answered and its sweep is yet to begin.
    const code = `
    import { runPlugin, Host } from "${new URL("index.js", import.meta.url).href}";
    const host = new Host({ patienceMs: 0 });
    host.removal.sweep = () => {};
    const { exitCode } = await runPlugin(${JSON.stringify({
      name: "flannel",
      env: node.environment("DEL", "p1"),
      stdin: JSON.stringify(conf),
    })}, host);
    process.kill(process.pid, exitCode === 0 ? "SIGKILL" : "SIGTERM");`;
    const { signal, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" });
    assert.equal(signal, "SIGKILL", stderr);
    assert.deepEqual(node.reserved(), []);
    assert.equal(host.rtnl.links().filter(({ group }) => group === ASIDE_GROUP).length, 1);
    host.rtnl.execute([
      newLink({ name: "stays", kind: { kind: "bridge" } }),
      setLink({ name: "stays", group: ASIDE_GROUP + 1 }),
    ]);
    const wanted = { "cni.dev/valid-attachments": [] };
    ok(await node.call("GC", "", { ...node.flannelConf({ cniVersion: "1.1.0" }), ...wanted }, {}, host));
    await eventually(host.rtnl, ["cni0", "lo", "stays"]);
  },
);

netnsTest(
  "a pair whose other end is in neither namespace goes by the pod's end, and no device of the host",
  async (node) => {
    node.pod("p1");
    using host = new Host();
    using third = NetNs.open(node.pod("third"));
    using pod = NetNs.open(node.pod("p1"));
    // Made from the third namespace, so that the peer's index there may be that of a device here.
    for (let i = 0; i < 5; i++) host.rtnl.execute(newLink({ name: `own${i}`, kind: { kind: "bridge" } }));
    using there = inNs(third, () => Rtnl.open());
    there.execute(newLink({ name: "far", kind: { kind: "veth", peer: { name: "eth0", netnsFd: pod.fd } } }));
    const before = links(host.rtnl);
    ok(await node.call("DEL", "p1", node.bridgeConf(), {}, host));
    assert.deepEqual(links(host.rtnl), before);
    assert.deepEqual(links(there), ["lo"]);
  },
);
