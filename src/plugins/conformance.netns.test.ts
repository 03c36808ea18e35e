// The CNI specification 1.1.0 and what the reference library adds to it, a line each, over every plugin or over the one
// that the line is about. What needs a whole network is in plugins.netns.test.ts, failures.netns.test.ts and the plugins' own.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { CNI_VERSIONS, isAtLeast, type JsonObject } from "../formats/cni/index.ts";
import { PLUGINS } from "./registry.ts";
import { runPlugin } from "./skel.ts";
import { type FakeNode, failsWith, netnsTest, ok } from "./testing/fake-node.ts";

const NAMES = [...PLUGINS.keys()];
const ENV = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/nonexistent/netns",
  CNI_IFNAME: "eth0",
  CNI_PATH: "/nonexistent/bin",
};

interface Told {
  readonly exitCode: number;
  readonly document: JsonObject;
}

async function call(name: string, env: Record<string, string | undefined>, stdin: unknown): Promise<Told> {
  const text = typeof stdin === "string" ? stdin : JSON.stringify(stdin);
  const { exitCode, stdout } = await runPlugin({ name, env: { ...ENV, ...env }, stdin: text });
  return { exitCode, document: stdout === "" ? {} : JSON.parse(stdout) }; // one document, or JSON.parse() throws
}

const conf = (type: string, more: JsonObject = {}): JsonObject => ({ cniVersion: "1.1.0", name: "net", type, ...more });

/** [line of the specification, environment, stdin, code, what it says] */
type Refusal = [string, Record<string, string | undefined>, (type: string) => unknown, number, RegExp];
const ALL: Refusal[] = [
  [
    "ADD names all that is missing",
    { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "", CNI_PATH: "" },
    conf,
    4,
    /\[CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH\]/,
  ],
  ["CHECK wants what ADD wants", { CNI_COMMAND: "CHECK", CNI_NETNS: "" }, conf, 4, /\[CNI_NETNS\]/],
  [
    "DEL wants container and interface",
    { CNI_COMMAND: "DEL", CNI_CONTAINERID: "", CNI_IFNAME: "" },
    conf,
    4,
    /\[CNI_CONTAINERID,CNI_IFNAME\]/,
  ],
  ["GC wants CNI_PATH", { CNI_COMMAND: "GC", CNI_PATH: "" }, conf, 4, /\[CNI_PATH\]/],
  ["STATUS wants CNI_PATH", { CNI_COMMAND: "STATUS", CNI_PATH: "" }, conf, 4, /\[CNI_PATH\]/],
  ["an unknown verb", { CNI_COMMAND: "FOO" }, conf, 4, /unknown CNI_COMMAND: FOO/],
  ["a container ID that is a path", { CNI_CONTAINERID: "../x" }, conf, 4, /containerID/],
  ["an interface name of 16 bytes", { CNI_IFNAME: "0123456789abcdef" }, conf, 4, /interface name/],
  ["an interface name with a slash", { CNI_IFNAME: "a/b" }, conf, 4, /interface name/],
  ["an interface name with a colon", { CNI_IFNAME: "a:b" }, conf, 4, /interface name/],
  ["an interface name with a space", { CNI_IFNAME: "a b" }, conf, 4, /interface name/],
  ["the interface name .", { CNI_IFNAME: "." }, conf, 4, /interface name/],
  ["the interface name ..", { CNI_IFNAME: ".." }, conf, 4, /interface name/],
  ["no JSON", {}, () => "{", 6, /decode/],
  ["empty stdin", {}, () => "", 6, /empty/],
  ["JSON that is no object", {}, () => "[1]", 6, /want a JSON object/],
  ["no network name", {}, (type) => conf(type, { name: "" }), 7, /missing network name/],
  ["a network name that is a path", {}, (type) => conf(type, { name: "../x" }), 7, /invalid characters/],
  ["an unknown version", {}, (type) => conf(type, { cniVersion: "9.9.9" }), 1, /config is "9.9.9", plugin supports/],
  [
    "CHECK before 0.4.0",
    { CNI_COMMAND: "CHECK" },
    (type) => conf(type, { cniVersion: "0.3.1" }),
    1,
    /does not allow CHECK/,
  ],
  ["GC before 1.1.0", { CNI_COMMAND: "GC" }, (type) => conf(type, { cniVersion: "1.0.0" }), 1, /does not allow GC/],
  [
    "STATUS before 1.1.0",
    { CNI_COMMAND: "STATUS" },
    (type) => conf(type, { cniVersion: "1.0.0" }),
    1,
    /does not allow STATUS/,
  ],
  ["the plugin's own namespace", { CNI_NETNS: "/proc/self/ns/net" }, conf, 8, /own namespace/],
];

for (const name of NAMES) {
  for (const [what, env, stdin, code, says] of ALL)
    test(`${name} refuses with code ${code}: ${what}`, async () => {
      const { exitCode, document } = await call(name, env, stdin(name));
      assert.equal(exitCode, 1);
      assert.equal(document.code, code, JSON.stringify(document));
      assert.match(`${document.msg} ${document.details ?? ""}`, says);
    });

  test(`${name}: VERSION with a configuration, without, and with none of the variables`, async () => {
    for (const stdin of ["", '{"cniVersion":"0.4.0"}'])
      assert.deepEqual(
        (await runPlugin({ name, env: { CNI_COMMAND: "VERSION" }, stdin })).stdout,
        JSON.stringify({ cniVersion: "1.1.0", supportedVersions: CNI_VERSIONS }),
      );
  });
}

for (const name of ["portmap", "bandwidth", "tuning", "firewall"])
  for (const [what, more] of [
    ["none", {}],
    ["null", { prevResult: null }],
  ] as const)
    test(`${name} must be chained: prevResult is ${what}`, async () => {
      const { document } = await call(name, {}, conf(name, more));
      assert.equal(document.code, 7);
      assert.match(String(document.msg), /must be called as chained plugin/);
    });

// A chained plugin hands on what it was given, field by field, in the version that was asked for.
for (const name of ["portmap", "tuning", "bandwidth"])
  test(`${name} passes prevResult through`, async () => {
    for (const cniVersion of CNI_VERSIONS.filter((version) => isAtLeast(version, "0.3.0"))) {
      const isOld = !isAtLeast(cniVersion, "1.0.0");
      const prevResult = {
        cniVersion,
        interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/x" }],
        ips: [{ ...(isOld ? { version: "4" } : {}), interface: 0, address: "10.1.0.2/24", gateway: "10.1.0.1" }],
        routes: [{ dst: "0.0.0.0/0", gw: "10.1.0.1" }],
        dns: { nameservers: ["10.1.0.53"] },
      };
      const { document } = await call(
        name,
        {},
        { ...conf(name), cniVersion, capabilities: { portMappings: true }, foreign: 1, prevResult },
      );
      assert.deepEqual(document, prevResult);
    }
  });

/** [CNI_ARGS, whether ADD takes it] */
const ARGS: [string, boolean][] = [
  ["", true],
  ["IgnoreUnknown=1;K8S_POD_NAME=x", true],
  ["K8S_POD_NAME=x;IgnoreUnknown=true", true],
  ["K8S_POD_NAME=x", false],
  ["IgnoreUnknown=1;A=B=C", false],
  ["IgnoreUnknown=1;A", false],
  ["IgnoreUnknown=2;A=1", false],
  ["MAC=02:00:00:00:00:09", true],
];
for (const [args, isTaken] of ARGS)
  netnsTest(`CNI_ARGS ${JSON.stringify(args)} is ${isTaken ? "taken" : "refused with code 4"}`, async (node) => {
    node.pod("p1");
    const answer = await node.call("ADD", "p1", node.bridgeConf(), { CNI_ARGS: args });
    if (isTaken) ok(answer);
    else failsWith(answer, 4, /CNI_ARGS/);
  });

for (const cniVersion of CNI_VERSIONS)
  netnsTest(`a result in version ${cniVersion} has its shape, and silence follows every other verb`, async (node) => {
    node.pod("p1");
    const given = { ...node.bridgeConf(), cniVersion };
    const result = ok(await node.call("ADD", "p1", given)) as unknown as JsonObject;
    assert.equal(result.cniVersion, cniVersion);
    if (!isAtLeast(cniVersion, "0.3.0")) {
      assert.deepEqual(Object.keys(result).sort(), ["cniVersion", "dns", "ip4"]);
      assert.equal((result.ip4 as JsonObject).ip, "10.244.1.2/24");
    } else {
      const [ip] = result.ips as readonly JsonObject[];
      assert.equal(ip?.version, isAtLeast(cniVersion, "1.0.0") ? undefined : "4");
      assert.equal(ip?.interface, 2);
      assert.equal("dns" in result, !isAtLeast(cniVersion, "1.0.0"));
    }
    const later = {
      ...given,
      prevResult: result,
      "cni.dev/valid-attachments": [{ containerID: "p1", ifname: "eth0" }],
    };
    for (const [command, since] of [
      ["CHECK", "0.4.0"],
      ["STATUS", "1.1.0"],
      ["GC", "1.1.0"],
      ["DEL", "0.1.0"],
    ] as const) {
      if (!isAtLeast(cniVersion, since)) continue;
      const answer = await node.call(command, "p1", later);
      assert.deepEqual([answer.exitCode, answer.stdout], [0, ""], `${command}: ${answer.stdout}`);
    }
  });

netnsTest("without cniVersion the result is of version 0.1.0", async (node) => {
  node.pod("p1");
  const { cniVersion: _, ...given } = node.bridgeConf();
  assert.equal(ok(await node.call("ADD", "p1", given)).cniVersion, "0.1.0");
});

netnsTest("keys in any case, unknown keys, capabilities: as Go reads them", async (node) => {
  node.pod("p1");
  const {
    name,
    type,
    cniVersion,
    ipam,
    isGateway: _g,
    ...rest
  } = node.bridgeConf({ capabilities: { x: true }, foreign: [] });
  const { ranges: _r, ...inner } = ipam as JsonObject;
  const shouted = { ...rest, NAME: name, type, CNIVERSION: cniVersion, BRIDGE: "br7", ISGATEWAY: true };
  const result = ok(await node.call("ADD", "p1", { ...shouted, Ipam: { ...inner, SUBNET: "10.244.1.0/24" } }));
  assert.equal(result.interfaces[0].name, "br7");
});

netnsTest("CNI_NETNS_OVERRIDE lets a plugin work in its own namespace", async (node) => {
  const loopback = { cniVersion: "1.0.0", name: "lo", type: "loopback" };
  const env = { CNI_NETNS: "/proc/thread-self/ns/net", CNI_NETNS_OVERRIDE: "1" };
  ok(await node.call("ADD", "own", loopback, env));
});

netnsTest(
  "GC: without a list nothing, with an empty one everything, and IPAM's failure is told after all else is done",
  async (node) => {
    for (const pod of ["p1", "p2"]) node.pod(pod);
    const given = node.bridgeConf({ cniVersion: "1.1.0", ipMasq: true });
    for (const pod of ["p1", "p2"]) ok(await node.call("ADD", pod, given));
    ok(await node.call("GC", "any", given));
    assert.equal(node.reserved().length, 2);
    mkdirSync(node.path("bin"));
    writeFileSync(
      node.path("bin/bad-ipam"),
      `#!/bin/sh\ncat >/dev/null; echo '{"code":123,"msg":"no luck"}'; exit 1\n`,
      { mode: 0o755 },
    );
    const empty = { "cni.dev/valid-attachments": [] };
    failsWith(await node.call("GC", "any", { ...given, ...empty, ipam: { type: "bad-ipam" } }), 123, /no luck/);
    const { nft } = await import("./testing/traffic.ts");
    assert.doesNotMatch(nft("list", "ruleset"), /saddr/);
    ok(await node.call("GC", "any", { ...given, ...empty }));
    assert.deepEqual(node.reserved(), []);
  },
);

netnsTest("STATUS 50: no subnet.env, an exhausted pool", async (node: FakeNode) => {
  const flannel = node.flannelConf({ cniVersion: "1.1.0" });
  ok(await node.call("STATUS", "any", flannel));
  failsWith(await node.call("STATUS", "any", { ...flannel, subnetFile: "/nonexistent" }), 50, /subnet\.env/);
  node.pod("p1");
  const small = { type: "host-local", dataDir: node.path("networks"), subnet: "10.244.1.0/30" };
  const given = node.bridgeConf({ cniVersion: "1.1.0", ipam: small });
  ok(await node.call("ADD", "p1", given));
  failsWith(await node.call("STATUS", "any", given), 50, /no IP addresses available/);
});
