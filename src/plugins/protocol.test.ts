// What the specification wants of every plugin before the kernel is asked anything: facts of the protocol, a row each.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CNI_VERSIONS } from "../formats/cni/index.ts";
import { runPlugin } from "./skel.ts";

const ENV = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/nonexistent/netns",
  CNI_IFNAME: "eth0",
  CNI_PATH: "/nonexistent/bin",
};
const CONF = { cniVersion: "1.0.0", name: "net", type: "bridge", ipam: { type: "host-local", subnet: "10.1.0.0/24" } };

type Row = [what: string, env: Record<string, string | undefined>, stdin: string, code: number, says: RegExp];
const conf = (more: object): string => JSON.stringify({ ...CONF, ...more });

const REFUSED: Row[] = [
  ["a missing variable", { CNI_NETNS: undefined, CNI_IFNAME: "" }, conf({}), 4, /\[CNI_NETNS,CNI_IFNAME\] missing/],
  ["an unknown verb", { CNI_COMMAND: "FOO" }, conf({}), 4, /unknown CNI_COMMAND: FOO/],
  ["a bad container ID", { CNI_CONTAINERID: "../x" }, conf({}), 4, /containerID/],
  ["a bad interface name", { CNI_IFNAME: "0123456789abcdef" }, conf({}), 4, /interface name/],
  ["empty stdin", {}, "", 6, /empty/],
  ["no JSON", {}, "{", 6, /decode/],
  ["no network name", {}, conf({ name: undefined }), 7, /missing network name/],
  ["a bad network name", {}, conf({ name: "a/b" }), 7, /invalid characters/],
  ["an unknown version", {}, conf({ cniVersion: "9.9.9" }), 1, /config is "9.9.9", plugin supports \["0.1.0"/],
  ["CHECK before 0.4.0", { CNI_COMMAND: "CHECK" }, conf({ cniVersion: "0.3.1" }), 1, /does not allow CHECK/],
  ["GC before 1.1.0", { CNI_COMMAND: "GC" }, conf({}), 1, /does not allow GC/],
  ["STATUS before 1.1.0", { CNI_COMMAND: "STATUS" }, conf({}), 1, /does not allow STATUS/],
  ["an unknown argument", { CNI_ARGS: "FOO=1" }, conf({}), 4, /FOO/],
  ["an ill-formed argument", { CNI_ARGS: "IP=1=2" }, conf({}), 4, /is no pair/],
  ["no such namespace", {}, conf({}), 8, /failed to open netns "\/nonexistent\/netns"/],
  ["keys in another case", {}, conf({ BRIDGE: "a/b" }), 7, /bridge name "a\/b"/],
  ["a number for a string", {}, conf({ bridge: 7 }), 7, /"bridge" must be a string, not 7/],
];

for (const [what, env, stdin, code, says] of REFUSED)
  test(`runPlugin() refuses ${what} with code ${code}`, async () => {
    const reply = await runPlugin({ name: "/opt/cni/bin/bridge", env: { ...ENV, ...env }, stdin });
    assert.equal(reply.exitCode, 1);
    const error = JSON.parse(reply.stdout);
    assert.equal(error.code, code, reply.stdout);
    assert.match(`${error.msg} ${error.details ?? ""}`, says);
  });

test("VERSION answers without a configuration, and lists every version", async () => {
  const reply = await runPlugin({ name: "flannel", env: { CNI_COMMAND: "VERSION" }, stdin: "" });
  assert.deepEqual(JSON.parse(reply.stdout), { cniVersion: "1.1.0", supportedVersions: CNI_VERSIONS });
});

test("without CNI_COMMAND it says on stderr what it is, and is no failure", async () => {
  const { exitCode, stdout, stderr } = await runPlugin({ name: "bridge", env: {}, stdin: "" });
  assert.deepEqual([exitCode, stdout], [0, ""]);
  assert.match(stderr, /bridge: CNI protocol versions supported: 0.1.0, /);
});

test("a name that is none of ours is refused, with the names that are", async () => {
  const { stdout } = await runPlugin({ name: "/opt/cni/bin/podpath", env: ENV, stdin: "{}" });
  assert.match(JSON.parse(stdout).msg, /no plugin "podpath".*flannel, bridge, host-local, loopback/);
});

test("an error of ADD is told in the version that was asked for", async () => {
  for (const cniVersion of CNI_VERSIONS) {
    const { stdout } = await runPlugin({ name: "bridge", env: ENV, stdin: conf({ cniVersion }) });
    assert.equal(JSON.parse(stdout).cniVersion, cniVersion);
  }
});

test("whatever comes in, one JSON document or nothing comes out, and never a stack trace", async () => {
  // The namespace is never there, so that no verb gets as far as the kernel; nor is any folder it might write to.
  const text = fc.oneof(fc.string(), fc.constantFrom("", "eth0", "1.0.0", "/nonexistent", "host-local", "IP=1.2.3.4"));
  const env = fc.record({
    CNI_COMMAND: fc.constantFrom("ADD", "DEL", "CHECK", "VERSION", "STATUS", "GC", "x"),
    CNI_CONTAINERID: fc.oneof(text, fc.constant("c1")),
    CNI_IFNAME: fc.oneof(text, fc.constant("eth0")),
    CNI_NETNS: fc.constantFrom("/nonexistent/netns", "/proc/self/exe"),
    CNI_PATH: fc.constant("/nonexistent"),
    CNI_ARGS: text,
  });
  const keys = ["bridge", "IPAM", "prevResult", "delegate", "mtu", "isGateway", "runtimeConfig", "args", "dns", "ips"];
  const extra = fc.dictionary(fc.constantFrom(...keys), fc.jsonValue({ maxDepth: 2 }));
  const stdin = fc.oneof(
    fc.string(),
    fc.tuple(fc.constantFrom(...CNI_VERSIONS), extra).map(([cniVersion, more]) =>
      // No dataDir of the machine's own may be reached.
      JSON.stringify({ ...more, cniVersion, name: "n", subnetFile: "/nonexistent", dataDir: "/proc/nonexistent" }),
    ),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom("flannel", "bridge", "loopback"), env, stdin, async (name, variables, input) => {
      const reply = await runPlugin({ name, env: variables, stdin: input });
      assert.ok(reply.exitCode === 0 || reply.exitCode === 1);
      if (reply.exitCode === 1) assert.equal(typeof JSON.parse(reply.stdout).msg, "string");
      assert.doesNotMatch(reply.stdout, /\.[jt]s:\d+/);
    }),
    { numRuns: 500 },
  );
});
