import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import type { JsonObject } from "../../formats/cni/index.ts";
import { deleteIngress, deleteLink, deleteRootQdisc } from "../../formats/netlink/index.ts";
import { Rtnl } from "../../kernel/index.ts";
import { cannotMakeNamespaces, FakeNode, failsWith, netnsTest, ok } from "../testing/fake-node.ts";
import { REFERENCE_FOLDER, reference } from "../testing/reference.ts";

// podman's spelling; containerd's is upper case.
const LIMITS = { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 16_000_000, egressBurst: 1_600_000 };

function conf(prevResult: JsonObject, bandwidth: JsonObject = LIMITS): JsonObject {
  return { cniVersion: "1.0.0", name: "cbr0", type: "bandwidth", runtimeConfig: { bandwidth }, prevResult };
}

/** Every qdisc and redirect of the node, without what is random. */
function shaping(): unknown {
  using rtnl = Rtnl.open();
  const links = rtnl.links();
  const nameOf = (index: number | undefined): string | undefined =>
    links.find((link) => link.index === index)?.name.replace(/^veth.*/, "veth*");
  return {
    qdiscs: rtnl
      .qdiscs()
      .filter(({ kind }) => kind === "tbf" || kind === "ingress")
      .map(({ index, ...qdisc }) => ({ device: nameOf(index), ...qdisc })),
    filters: links.flatMap(({ index }) =>
      rtnl.ingressFilters(index).map(({ redirectTo, kind, parent }) => ({
        device: nameOf(index),
        to: nameOf(redirectTo),
        kind,
        parent,
      })),
    ),
    ifb: links
      .filter(({ name }) => name.startsWith("bwp"))
      .map(({ name, mtu, isUp, txQueueLength }) => ({ name, mtu, isUp, txQueueLength })),
  };
}

async function podOf(node: FakeNode): Promise<JsonObject> {
  node.pod("p1");
  return ok(await node.call("ADD", "p1", node.bridgeConf()));
}

netnsTest("the limits are in the kernel, the ifb in the result; CHECK sees them, DEL takes them away", async (node) => {
  const prevResult = await podOf(node);
  const before = node.state();
  const result = ok(await node.call("ADD", "p1", conf(prevResult)));
  const [ifb] = (result.interfaces as readonly JsonObject[]).slice(3);
  assert.match(String(ifb?.name), /^bwp[0-9a-f]{12}$/);
  const added = conf(result);
  assert.deepEqual(
    spawnSync("tc", ["qdisc", "show", "dev", String(ifb?.name)], { encoding: "utf8" }).stdout,
    "qdisc tbf 1: root refcnt 2 rate 16Mbit burst 200000b lat 25ms \n",
  );
  ok(await node.call("CHECK", "p1", added));
  for (let i = 0; i < 2; i++) ok(await node.call("DEL", "p1", added));
  assert.deepEqual(node.state(), before);
  assert.deepEqual(shaping(), { qdiscs: [], filters: [], ifb: [] });
});

netnsTest("CHECK notices each part that is gone; ADD in a live namespace makes it again", async (node) => {
  const prevResult = await podOf(node);
  using host = Rtnl.open();
  const port = (): number => host.links().find(({ name }) => name.startsWith("veth"))?.index ?? 0;
  const ifb = (): string => host.links().find(({ name }) => name.startsWith("bwp"))?.name ?? "";
  const spoilers: [() => void, RegExp][] = [
    [() => host.execute(deleteRootQdisc(port())), /tbf\) is missing/],
    [() => host.execute(deleteIngress(port())), /filter .* is missing/],
    [() => host.execute(deleteLink({ name: ifb() })), /device bwp.* is missing/],
    [() => host.execute(deleteRootQdisc(host.link(ifb())?.index ?? 0)), /limit of bwp.* is missing/],
  ];
  for (const [spoil, says] of spoilers) {
    const added = conf(ok(await node.call("ADD", "p1", conf(prevResult))));
    ok(await node.call("CHECK", "p1", added));
    spoil();
    failsWith(await node.call("CHECK", "p1", added), 999, says);
  }
  failsWith(
    await node.call("CHECK", "p1", conf(prevResult, { ...LIMITS, ingressRate: 1000 })),
    999,
    /tbf\) is missing|limit of/,
  );
});

netnsTest(
  "without limits, without a namespace, unknown: nothing to do; an ADD that fails leaves nothing",
  async (node) => {
    const prevResult = await podOf(node);
    const before = node.state();
    assert.deepEqual(ok(await node.call("ADD", "p1", conf(prevResult, {}))), prevResult);
    ok(await node.call("DEL", "never-added", conf(prevResult), { CNI_NETNS: "" }));
    failsWith(await node.call("ADD", "p1", conf(prevResult), { CNI_IFNAME: "eth7" }), 999, /eth7 is missing/);
    assert.deepEqual(node.state(), before);
  },
);

netnsTest("one direction alone", async (node) => {
  const prevResult = await podOf(node);
  const { ingressRate, ingressBurst, egressRate, egressBurst } = LIMITS;
  const result = ok(
    await node.call("ADD", "p1", conf(prevResult, { IngressRate: ingressRate, IngressBurst: ingressBurst })),
  );
  assert.deepEqual(result.interfaces.length, 3);
  ok(await node.call("DEL", "p1", conf(prevResult)));
  ok(await node.call("ADD", "p1", { ...conf(prevResult, {}), egressRate, egressBurst }));
  assert.equal((shaping() as { ifb: unknown[] }).ifb.length, 1);
});

const REFUSED: [string, JsonObject, number, RegExp][] = [
  ["a rate without a burst", { runtimeConfig: { bandwidth: { ingressRate: 8 } } }, 7, /burst must also be set/],
  ["a burst without a rate", { runtimeConfig: { bandwidth: { egressBurst: 8 } } }, 7, /rate must also be set/],
  ["4 GB", { runtimeConfig: { bandwidth: { egressRate: 8, egressBurst: 2 ** 35 } } }, 7, /more than 4GB/],
  ["a negative rate", { ingressRate: -8, ingressBurst: 8 }, 7, /must not be negative/],
  ["version 0.2.0", { cniVersion: "0.2.0" }, 1, /incompatible CNI versions/],
  ["no prevResult", { prevResult: undefined }, 7, /must be called as chained plugin/],
  ["subnets to leave alone", { unshapedSubnets: ["10.0.0.0/8"] }, 2, /unsupported field "unshapedSubnets"/],
];
for (const [what, more, code, says] of REFUSED)
  netnsTest(`bandwidth refuses ${what}`, async (node) => {
    const given = { ...conf(node.anyResult("p1")), ...more };
    failsWith(await node.call("ADD", "p1", given), code, says);
  });

netnsTest("containerd's greatest burst is taken", async (node) => {
  const prevResult = await podOf(node);
  const burst = 4_294_967_295;
  ok(
    await node.call(
      "ADD",
      "p1",
      conf(prevResult, { IngressRate: 1e7, IngressBurst: burst, EgressRate: 1e7, EgressBurst: burst }),
    ),
  );
});

const skip = existsSync(`${REFERENCE_FOLDER}/bandwidth`)
  ? cannotMakeNamespaces()
  : "containernetworking-plugins is not installed";
test("bandwidth makes what the reference does, and each takes away what the other made", { skip }, async () => {
  const states: unknown[] = [];
  for (const add of [reference, (node: FakeNode, ...call: [string, string, JsonObject]) => node.call(...call)]) {
    using node = new FakeNode();
    const prevResult = await podOf(node);
    const result = ok(await add(node, "ADD", "p1", conf(prevResult)));
    states.push([
      shaping(),
      (result.interfaces as readonly JsonObject[]).map(({ name }) => String(name).replace(/^veth.*/, "veth*")),
    ]);
    const del =
      add === reference ? node.call.bind(node) : (...call: [string, string, JsonObject]) => reference(node, ...call);
    ok(await del("DEL", "p1", conf(result)));
    assert.deepEqual((shaping() as { ifb: unknown[] }).ifb, []);
  }
  assert.deepEqual(states[1], states[0]);
});
