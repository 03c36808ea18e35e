import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseIp, parsePrefix } from "../netip/index.ts";
import {
  CNI_VERSIONS,
  CniError,
  type CniVersion,
  field,
  formatError,
  formatResult,
  formatVersions,
  isAtLeast,
  isInterfaceName,
  knownArgs,
  parseCall,
  parseCniArgs,
  parseConfList,
  parseError,
  parseJsonObject,
  parseNetConf,
  parseResult,
  pluginStdin,
  type Result,
  toCniError,
  validAttachments,
  withFields,
} from "./index.ts";

const failsWith =
  (code: number, text: RegExp) =>
  (e: unknown): boolean => {
    assert.ok(e instanceof CniError, String(e));
    assert.match(`${e.message} ${e.details}`, text);
    return e.code === code;
  };

const ENV = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c-1",
  CNI_NETNS: "/run/netns/x",
  CNI_IFNAME: "eth0",
  CNI_PATH: "/opt/cni/bin:/usr/lib/cni",
};

test("parseCall() names everything that is missing, by verb", () => {
  const rows: [string, string][] = [
    ["ADD", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"],
    ["CHECK", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"],
    ["DEL", "CNI_CONTAINERID,CNI_IFNAME,CNI_PATH"],
    ["GC", "CNI_PATH"],
    ["STATUS", "CNI_PATH"],
  ];
  for (const [command, names] of rows)
    assert.throws(
      () => parseCall({ CNI_COMMAND: command, CNI_CONTAINERID: "" }),
      (e) => failsWith(4, /./)(e) && (e as Error).message === `required env variables [${names}] missing`,
    );
  assert.equal(parseCall({ CNI_COMMAND: "VERSION" }).command, "VERSION");
  for (const command of ["FOO", "add", "", undefined])
    assert.throws(() => parseCall({ ...ENV, CNI_COMMAND: command }), failsWith(4, /unknown CNI_COMMAND/));
});

test("parseCall() takes DEL without a namespace, splits CNI_PATH, reads CNI_NETNS_OVERRIDE", () => {
  const call = parseCall({ ...ENV, CNI_COMMAND: "DEL", CNI_NETNS: "", CNI_NETNS_OVERRIDE: "TRUE" });
  assert.deepEqual(call, {
    command: "DEL",
    containerId: "c-1",
    netns: "",
    ifName: "eth0",
    args: "",
    path: ["/opt/cni/bin", "/usr/lib/cni"],
    mayUseOwnNetns: true,
  });
});

test("parseCall() refuses ill-formed container IDs and interface names with code 4", () => {
  for (const id of ["-a", ".a", "a/b", "../x", "a b", "a\n", "é"])
    assert.throws(() => parseCall({ ...ENV, CNI_CONTAINERID: id }), failsWith(4, /containerID/), id);
  for (const name of ["0123456789abcdef", "a/b", "a:b", "a b", "a\tb", ".", "..", "ééééééééé"])
    assert.throws(() => parseCall({ ...ENV, CNI_IFNAME: name }), failsWith(4, /interface name/), name);
  for (const name of ["eth0", "0123456789abcde", "a.b", "..."]) assert.ok(isInterfaceName(name), name);
});

test("parseCniArgs() wants exact pairs; knownArgs() refuses unknown keys unless IgnoreUnknown", () => {
  assert.deepEqual(
    [...parseCniArgs("A=1;B=;C=x")],
    [
      ["A", "1"],
      ["B", ""],
      ["C", "x"],
    ],
  );
  for (const bad of ["A", "A=B=C", "A=1;", "=1", ";"])
    assert.throws(() => parseCniArgs(bad), failsWith(4, /CNI_ARGS/), bad);
  assert.deepEqual(knownArgs("IgnoreUnknown=1;IP=10.0.0.1;K8S_POD_NAME=p", ["IP", "MAC"]), { IP: "10.0.0.1" });
  assert.deepEqual(knownArgs("", ["IP"]), {});
  assert.throws(() => knownArgs("FOO=1", ["IP"]), failsWith(4, /FOO.*IgnoreUnknown/));
  assert.throws(() => knownArgs("FOO=1;IgnoreUnknown=maybe", ["IP"]), failsWith(4, /IgnoreUnknown/));
});

test("parseNetConf() tells undecodable (6) from invalid (7) from unsupported (1)", () => {
  const rows: [string, number, RegExp][] = [
    ["", 6, /empty/],
    ["{", 6, /decode/],
    ["[]", 6, /object/],
    ["null", 6, /object/],
    ['{"cniVersion":1,"name":"n"}', 6, /cniVersion/],
    ['{"cniVersion":"1.0.0"}', 7, /missing network name/],
    ['{"cniVersion":"1.0.0","name":"a/b"}', 7, /invalid characters/],
    ['{"cniVersion":"1.0.0","name":"n","ipam":"x"}', 7, /ipam/],
    ['{"cniVersion":"9.9.9","name":"n"}', 1, /config is "9.9.9", plugin supports \["0.1.0" "0.2.0"/],
    ['{"cniVersion":"1.0","name":"n"}', 1, /incompatible CNI versions/],
    ['{"cniVersion":"1.0.0","name":"n","prevResult":{"ips":[{"address":"10.0.0.300/8"}]}}', 6, /10.0.0.300/],
    [
      '{"cniVersion":"1.0.0","name":"n","prevResult":{"ips":[{"address":"10.0.0.3/8","interface":3}]}}',
      6,
      /interface 3/,
    ],
  ];
  for (const [text, code, message] of rows)
    assert.throws(() => parseNetConf(text, CNI_VERSIONS), failsWith(code, message), text);
});

test("parseNetConf() reads keys in any case, ignores what it does not know, takes a null prevResult", () => {
  const conf = parseNetConf(
    '{"CNIVERSION":"1.0.0","NAME":"net","Type":"bridge","capabilities":{"mac":true},"whatever":[1],"IPAM":{"type":"x"},"prevResult":null}',
    CNI_VERSIONS,
  );
  assert.deepEqual([conf.cniVersion, conf.name, conf.type, conf.prevResult], ["1.0.0", "net", "bridge", undefined]);
  assert.deepEqual(conf.ipam, { type: "x" });
  assert.equal(parseNetConf('{"name":"n"}', CNI_VERSIONS).cniVersion, "0.1.0");
  assert.equal(parseNetConf('{"name":"n","ipam":{}}', CNI_VERSIONS).ipam, undefined);
});

test("field() lets the last spelling win and null be absent; withFields() leaves no other spelling behind", () => {
  assert.equal(field({ mtu: 1, MTU: 2 }, "mtu"), 2);
  assert.equal(field({ mtu: 1, MTU: null }, "Mtu"), 1);
  assert.deepEqual(withFields({ MTU: 1, x: 2 }, { mtu: 3 }), { x: 2, mtu: 3 });
});

const RESULT: Result = {
  interfaces: [
    { name: "cni0", mac: "0a:00:00:00:00:01" },
    { name: "eth0", mac: "0a:00:00:00:00:02", mtu: 1450, sandbox: "/run/netns/x" },
  ],
  ips: [
    { interface: 1, address: parsePrefix("10.1.2.3/24"), gateway: parseIp("10.1.2.1") },
    { interface: 1, address: parsePrefix("fd00::3/64") },
  ],
  routes: [
    { dst: parsePrefix("0.0.0.0/0"), gw: parseIp("10.1.2.1") },
    { dst: parsePrefix("::/0"), mtu: 1400 },
  ],
  dns: { nameservers: ["10.1.2.1"] },
};

test("formatResult() has the shape of each version", () => {
  const legacy = {
    ip4: { ip: "10.1.2.3/24", gateway: "10.1.2.1", routes: [{ dst: "0.0.0.0/0", gw: "10.1.2.1" }] },
    ip6: { ip: "fd00::3/64", routes: [{ dst: "::/0", mtu: 1400 }] },
    dns: { nameservers: ["10.1.2.1"] },
  };
  const modern = (version: CniVersion): object => ({
    interfaces: [
      { name: "cni0", mac: "0a:00:00:00:00:01" },
      {
        name: "eth0",
        mac: "0a:00:00:00:00:02",
        sandbox: "/run/netns/x",
        ...(isAtLeast(version, "1.0.0") ? { mtu: 1450 } : {}),
      },
    ],
    ips: [
      {
        ...(isAtLeast(version, "1.0.0") ? {} : { version: "4" }),
        interface: 1,
        address: "10.1.2.3/24",
        gateway: "10.1.2.1",
      },
      { ...(isAtLeast(version, "1.0.0") ? {} : { version: "6" }), interface: 1, address: "fd00::3/64" },
    ],
    routes: [
      { dst: "0.0.0.0/0", gw: "10.1.2.1" },
      { dst: "::/0", mtu: 1400 },
    ],
    dns: { nameservers: ["10.1.2.1"] },
  });
  for (const version of CNI_VERSIONS)
    assert.deepEqual(JSON.parse(formatResult(RESULT, version)), {
      cniVersion: version,
      ...(isAtLeast(version, "0.3.0") ? modern(version) : legacy),
    });
});

test("formatResult() prints an empty dns before 1.0.0 only, and refuses 0.2.0 without an address", () => {
  const bare: Result = { interfaces: [{ name: "x" }], ips: [], routes: [], dns: {} };
  assert.equal(formatResult(bare, "0.4.0"), '{"cniVersion":"0.4.0","interfaces":[{"name":"x"}],"dns":{}}');
  assert.equal(formatResult(bare, "1.1.0"), '{"cniVersion":"1.1.0","interfaces":[{"name":"x"}]}');
  assert.throws(() => formatResult(bare, "0.2.0"), failsWith(999, /no valid IP addresses/));
});

test("parseResult() inverts formatResult() in 1.1.0, and loses only what an older version cannot say", () => {
  const ip = fc.tuple(fc.ipV4(), fc.integer({ min: 8, max: 30 })).map(([a, n]) => parsePrefix(`${a}/${n}`));
  const arbitrary = fc.array(ip, { minLength: 1, maxLength: 4 }).map(
    (addresses): Result => ({
      interfaces: [{ name: "eth0", mtu: 9000, sandbox: "/x" }],
      ips: addresses.map((address) => ({ interface: 0, address })),
      routes: addresses.map((dst) => ({ dst, priority: 7 })),
      dns: {},
    }),
  );
  fc.assert(
    fc.property(arbitrary, fc.constantFrom(...CNI_VERSIONS), (result, version) => {
      const back = parseResult(parseJsonObject(formatResult(result, version), "it"), "0.1.0");
      if (version === "1.1.0" || version === "1.0.0") return assert.deepEqual(back, result);
      if (isAtLeast(version, "0.3.0")) return assert.deepEqual(back.ips, result.ips);
      assert.deepEqual(back.ips, [{ address: result.ips[0]?.address }]);
    }),
  );
});

test("parseResult() of a document without version has the configuration's; an unknown one is refused", () => {
  assert.deepEqual(parseResult({ ip4: { ip: "10.0.0.2/24" } }, "0.2.0").ips, [{ address: parsePrefix("10.0.0.2/24") }]);
  assert.deepEqual(parseResult({}, "1.0.0"), { interfaces: [], ips: [], routes: [], dns: {} });
  assert.throws(
    () => parseResult({ cniVersion: "2.0.0" }, "1.0.0"),
    failsWith(6, /unsupported CNI result version "2.0.0"/),
  );
});

test("the parsers answer any JSON with a value or a CniError, never another exception", () => {
  const keys = ["cniVersion", "NAME", "ipam", "prevResult", "ips", "address", "interfaces", "plugins", "type", "dns"];
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      fc.constantFrom("1.0.0", "0.2.0", "n", "10.0.0.1/8", null, 1, true, -1, 1e99, ""),
      fc.array(tie("any"), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...keys), tie("any")),
    ),
  })).any;
  fc.assert(
    fc.property(fc.oneof(value, fc.jsonValue()), (json) => {
      for (const parse of [
        () => parseNetConf(JSON.stringify(json), CNI_VERSIONS),
        () => parseConfList(JSON.stringify(json)),
      ])
        try {
          parse();
        } catch (e) {
          assert.ok(e instanceof CniError, String(e));
          assert.doesNotThrow(() => JSON.parse(formatError(e)));
        }
    }),
    { numRuns: 2000 },
  );
});

test("formatError() is the specification's document; parseError() reads it back; toCniError() hides no message", () => {
  const error = new CniError(11, "Cannot do it", { details: "busy" });
  assert.equal(formatError(error, "1.0.0"), '{"cniVersion":"1.0.0","code":11,"msg":"Cannot do it","details":"busy"}');
  const back = parseError(formatError(error));
  assert.deepEqual([back?.code, back?.message, back?.details], [11, "Cannot do it", "busy"]);
  for (const none of ["", "panic: x", "[]", "{}", '{"code":1}']) assert.equal(parseError(none), undefined);
  assert.equal(toCniError(new TypeError("x is not y")).code, 999);
  assert.equal(formatError(toCniError("text")), '{"code":999,"msg":"text"}');
});

test("formatVersions() and validAttachments()", () => {
  assert.equal(formatVersions(["0.4.0", "1.1.0"]), '{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.1.0"]}');
  assert.equal(validAttachments({}), undefined);
  assert.deepEqual(validAttachments({ "cni.dev/valid-attachments": [] }), []);
  assert.deepEqual(validAttachments({ "cni.dev/attachments": [{ containerID: "c", ifname: "eth0" }] }), [
    { containerId: "c", ifName: "eth0" },
  ]);
  assert.throws(() => validAttachments({ "cni.dev/valid-attachments": [{}] }), failsWith(7, /valid-attachments/));
});

test("pluginStdin() gives a plugin what libcni gives it", () => {
  const list = parseConfList(
    '{"cniVersion":"1.0.0","name":"cbr0","plugins":[{"type":"flannel","capabilities":{"portMappings":true},"name":"not this"}]}',
  );
  const [plugin] = list.plugins;
  assert.ok(plugin);
  const stdin = pluginStdin(list, plugin, { prevResult: RESULT, capabilityArgs: { portMappings: [], mac: "x" } });
  const conf = parseNetConf(stdin, CNI_VERSIONS);
  assert.deepEqual(
    [conf.name, conf.cniVersion, conf.type, conf.runtimeConfig],
    ["cbr0", "1.0.0", "flannel", { portMappings: [] }],
  );
  assert.deepEqual(conf.prevResult, RESULT);
});

test("parseConfList() says what is wrong with a list", () => {
  assert.throws(() => parseConfList('{"name":"n"}'), failsWith(7, /no plugins/));
  assert.throws(() => parseConfList('{"name":"n","plugins":[{}]}'), failsWith(7, /without "type"/));
  assert.throws(() => parseConfList('{"plugins":[{"type":"x"}]}'), failsWith(7, /network name/));
});
