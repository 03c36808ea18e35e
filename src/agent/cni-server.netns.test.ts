// The whole way of a CNI call: the installed executable, the agent's server or the Node fallback, the kernel.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { JsonObject } from "../formats/cni/index.ts";
import { newLink } from "../formats/netlink/index.ts";
import { Rtnl } from "../kernel/index.ts";
import { installCni } from "../plugins/index.ts";
import { ASIDE_GROUP } from "../plugins/link-removal.ts";
import { type Answer, answer, cannotMakeNamespaces, FakeNode, failsWith, ok } from "../plugins/testing/fake-node.ts";
import { type CniServerOptions, startCniServer } from "./cni-server.ts";

const bundle = fileURLToPath(new URL("../cni/podpath-cni.cjs", import.meta.url));
const skip = existsSync(bundle) ? cannotMakeNamespaces() : `${bundle} is missing: npm run build makes it`;

const socketOf = (node: FakeNode): string => node.path("run", "cni.sock");

function installed(): FakeNode {
  const node = new FakeNode();
  installCni({ binDir: node.path("bin"), confDir: node.path("net.d"), socketPath: socketOf(node) });
  return node;
}

const serve = (node: FakeNode, more: Partial<CniServerOptions> = {}): Promise<AsyncDisposable> =>
  startCniServer({ socketPath: socketOf(node), ...more });

async function execute(node: FakeNode, command: string, pod: string, conf: JsonObject): Promise<Answer> {
  const env = { ...node.environment(command, pod), PATH: process.env.PATH ?? "" };
  const child = spawn(node.path("bin", String(conf.type)), [], { env, stdio: "pipe" });
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on("data", (data: Buffer) => stdout.push(data));
  child.stderr.on("data", (data: Buffer) => stderr.push(data));
  child.stdin.end(JSON.stringify(conf));
  const [exitCode] = await once(child, "close");
  return answer({ exitCode, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
}

/** ADD, CHECK, DEL of two pods, and nothing left. */
async function lifeOfTwoPods(node: FakeNode): Promise<void> {
  const conf = node.flannelConf();
  for (const [index, pod] of ["p1", "p2"].entries()) {
    node.pod(pod);
    const prevResult = ok(await execute(node, "ADD", pod, conf));
    assert.equal(prevResult.ips[0].address, `10.244.1.${index + 2}/24`);
    ok(await execute(node, "CHECK", pod, { ...conf, prevResult }));
    failsWith(await execute(node, "ADD", pod, conf), 999, /already exists/);
    for (let i = 0; i < 2; i++) ok(await execute(node, "DEL", pod, { ...conf, prevResult }));
  }
  await removalsEnd();
  using host = Rtnl.open();
  assert.deepEqual(
    [
      node.reserved(),
      host
        .links()
        .map(({ name }) => name)
        .sort(),
    ],
    [[], ["cni0", "lo"]],
  );
}

/** An agent on a busy machine answers DEL before the last device is gone from the host. */
async function removalsEnd(): Promise<void> {
  using host = Rtnl.open();
  const isAside = ({ group }: { readonly group: number }): boolean => group === ASIDE_GROUP;
  for (const deadline = Date.now() + 20_000; Date.now() < deadline && host.links().some(isAside); ) await delay(5);
}

test("an agent takes away at its start what one before it had put aside", { skip }, async () => {
  using node = installed();
  using host = Rtnl.open();
  host.execute(newLink({ name: "veth0", group: ASIDE_GROUP, kind: { kind: "veth", peer: { name: "gone2" } } }));
  await using _ = await serve(node);
  await removalsEnd();
  assert.deepEqual(
    host.links().map(({ name }) => name),
    ["lo"],
  );
});

test("with the agent: ADD, CHECK, DEL through the installed executable", { skip }, async () => {
  using node = installed();
  await using _ = await serve(node);
  await lifeOfTwoPods(node);
});

test("without the agent: the same, through the Node fallback", { skip }, async () => {
  using node = installed();
  await lifeOfTwoPods(node);
});

test("what the agent added the fallback deletes, and the other way round", { skip }, async () => {
  using node = installed();
  const conf = node.flannelConf();
  node.pod("p1");
  {
    await using _ = await serve(node);
    ok(await execute(node, "ADD", "p1", conf));
  }
  ok(await execute(node, "DEL", "p1", conf));
  assert.deepEqual(node.reserved(), []);
  ok(await execute(node, "ADD", "p1", conf));
  await using _ = await serve(node);
  ok(await execute(node, "DEL", "p1", conf));
  assert.deepEqual(node.reserved(), []);
});

for (const served of ["agent", "fallback"] as const)
  test(`${served}: a configuration may come in pieces, and nobody need read the answer`, { skip }, async () => {
    using node = installed();
    await using _ = served === "agent" ? await serve(node) : undefined;
    const conf = JSON.stringify(node.flannelConf());
    const start = (command: string): ReturnType<typeof spawn> => {
      const env = { ...node.environment(command, "p1"), PATH: process.env.PATH ?? "" };
      return spawn(node.path("bin", "flannel"), [], { env, stdio: ["pipe", "pipe", "inherit"] });
    };
    node.pod("p1");
    const slow = start("ADD");
    const parts: Buffer[] = [];
    slow.stdout?.on("data", (data: Buffer) => parts.push(data));
    for (const piece of [conf.slice(0, 7), conf.slice(7, 100), conf.slice(100)]) {
      slow.stdin?.write(piece);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    slow.stdin?.end();
    assert.equal((await once(slow, "close"))[0], 0);
    assert.equal(JSON.parse(Buffer.concat(parts).toString()).ips[0].address, "10.244.1.2/24");
    ok(await execute(node, "DEL", "p1", node.flannelConf()));
    // A runtime that has gone does not hear of its ADD; whoever cleans up after it finds all of it.
    const unheard = start("ADD");
    unheard.stdout?.destroy();
    unheard.stdin?.end(conf);
    const [code, signal] = await once(unheard, "close");
    assert.ok(code !== 0 || signal !== null, "an answer that nobody could read was no success");
    if (served === "fallback") assert.deepEqual(node.reserved(), [], "what nobody heard of is undone");
    ok(await execute(node, "DEL", "p1", node.flannelConf()));
    assert.deepEqual(node.reserved(), []);
    node.inPod("p1", (pod) => assert.equal(pod.link("eth0"), undefined));
  });

test("20 ADDs at once through the executable have 20 addresses", { skip }, async () => {
  using node = installed();
  await using _ = await serve(node);
  const pods = Array.from({ length: 20 }, (_, i) => `p${i}`);
  for (const pod of pods) node.pod(pod);
  const results = (await Promise.all(pods.map((pod) => execute(node, "ADD", pod, node.flannelConf())))).map(ok);
  assert.equal(new Set(results.map(({ ips }) => ips[0].address)).size, 20);
  await Promise.all(
    pods.map(async (pod, i) => ok(await execute(node, "DEL", pod, { ...node.flannelConf(), prevResult: results[i] }))),
  );
  assert.deepEqual(node.reserved(), []);
});

test("a failed ADD through the executable is one JSON document, a non-zero exit, and leaves nothing", {
  skip,
}, async () => {
  using node = installed();
  await using _ = await serve(node);
  node.pod("p1");
  failsWith(await execute(node, "ADD", "p1", node.flannelConf({ subnetFile: "/nonexistent" })), 999, /subnet.env/);
  failsWith(await execute(node, "ADD", "p1", { ...node.flannelConf(), cniVersion: "9" }), 1, /incompatible/);
  assert.deepEqual(readdirSync(node.folder).sort(), ["bin", "net.d", "netns", "run", "subnet.env"]);
});

test("an ordinary file at the socket's path is kept, and the start refused", { skip }, async () => {
  using node = installed();
  mkdirSync(node.path("run"));
  writeFileSync(socketOf(node), "precious");
  await assert.rejects(serve(node), /cni\.sock: it is there already and is no socket.*--cni-socket/);
  assert.equal(readFileSync(socketOf(node), "utf8"), "precious");
});

test("the socket is for its owner only, taken over from a dead agent, and refused to a second one", {
  skip,
}, async () => {
  using node = installed();
  {
    await using _ = await serve(node);
    assert.equal(statSync(socketOf(node)).mode & 0o777, 0o600);
    assert.equal(statSync(node.path("run")).mode & 0o777, 0o700);
    await assert.rejects(serve(node), /another agent does/);
  }
  assert.ok(!existsSync(socketOf(node)));
  // What kill -9 leaves: a socket nobody listens on.
  const dead = spawn(process.execPath, [
    "-e",
    `require("net").createServer().listen(${JSON.stringify(socketOf(node))}, () => console.log("up"))`,
  ]);
  await once(dead.stdout, "data");
  dead.kill("SIGKILL");
  await once(dead, "close");
  assert.ok(existsSync(socketOf(node)));
  await using _ = await serve(node);
  node.pod("p1");
  ok(await execute(node, "ADD", "p1", node.flannelConf()));
});

/** Speaks to the socket without the client. */
async function say(
  node: FakeNode,
  bytes: string | Buffer,
  { end = true } = {},
): Promise<{ code: number; text: string }> {
  const socket = connect(socketOf(node));
  const parts: Buffer[] = [];
  socket.on("data", (data: Buffer) => parts.push(data)).on("error", () => {});
  socket.write(bytes);
  if (end) socket.end();
  await once(socket, "close");
  const reply = Buffer.concat(parts);
  return { code: reply[0] ?? -1, text: reply.toString("utf8", 1) };
}

test("whatever comes in at the socket gets an error document, and the next call is served", { skip }, async () => {
  using node = installed();
  await using _ = await serve(node, { maxRequestBytes: 10_000, requestTimeoutMs: 200 });
  const rows: [string | Buffer, number, RegExp][] = [
    ["", 6, /no end/],
    ["flannel", 6, /no end/],
    ["flannel\0", 6, /no end/],
    ["flannel\0PATH=/bin\0\0", 6, /"PATH=\/bin" is no CNI_ variable/],
    ["flannel\0CNI_COMMAND=ADD\0\0{}", 4, /required env variables/],
    [`nothing\0CNI_COMMAND=DEL\0CNI_CONTAINERID=a\0CNI_IFNAME=b\0CNI_PATH=/\0\0{}`, 4, /no plugin "nothing"/],
    [Buffer.alloc(9_000, 0xff), 6, /no end/],
    [Buffer.alloc(20_000, "x"), 5, /more than 10000 bytes/],
  ];
  for (const [bytes, code, says] of rows) {
    const reply = await say(node, bytes);
    assert.equal(reply.code, 1);
    const error = JSON.parse(reply.text);
    assert.equal(error.code, code, reply.text);
    assert.match(error.msg, says);
  }
  const slow = await say(node, "flannel\0", { end: false });
  assert.match(slow.text, /not whole after 200 ms/);
  node.pod("p1");
  ok(await execute(node, "ADD", "p1", node.flannelConf()));
});

/** An IPAM plugin that answers ADD only when the test opens its gate: a configuration, what says "asked", the opening. */
function gatedIpam(node: FakeNode): { conf: JsonObject; asked: Promise<unknown>; open: () => void } {
  const [asked, gate] = [node.path("asked"), node.path("gate")];
  execFileSync("mkfifo", [asked, gate]);
  const script = `#!/bin/sh
cat >/dev/null
[ "$CNI_COMMAND" = ADD ] || { echo "$CNI_COMMAND" >> ${node.path("told")}; exit 0; }
echo asked > ${asked}; cat ${gate}
echo '{"cniVersion":"1.0.0","ips":[{"address":"10.244.1.9/24"}]}'
`;
  writeFileSync(node.path("bin", "gated"), script, { mode: 0o755 });
  return {
    conf: node.bridgeConf({ ipam: { type: "gated" } }),
    asked: readFile(asked),
    open: () => writeFileSync(gate, ""),
  };
}

test("an ADD whose client went away before the answer is undone", { skip }, async () => {
  using node = installed();
  const server = await serve(node);
  const { conf, asked, open } = gatedIpam(node);
  node.pod("p1");
  await abandonAdd(node, conf, asked);
  open();
  await server[Symbol.asyncDispose]();
  node.inPod("p1", (pod) => assert.equal(pod.link("eth0"), undefined));
  assert.equal(readFileSync(node.path("told"), "utf8"), "DEL\n");
});

/** Asks for an ADD, and is gone before it is done. */
async function abandonAdd(node: FakeNode, conf: JsonObject, asked: Promise<unknown>): Promise<void> {
  const env = Object.entries({ ...node.environment("ADD", "p1"), CNI_PATH: node.path("bin") });
  const request = ["bridge", ...env.map(([key, value]) => `${key}=${value}`), "", JSON.stringify(conf)].join("\0");
  const socket = connect({ path: socketOf(node), allowHalfOpen: true }).end(request);
  await asked;
  socket.destroy();
  await once(socket, "close");
}

test("an ADD that is undone does not take the runtime's next one along", { skip }, async () => {
  using node = installed();
  await using _ = await serve(node);
  const { conf, asked, open } = gatedIpam(node);
  node.pod("p1");
  await abandonAdd(node, conf, asked);
  // The runtime has seen its client die: it cleans up and tries again, while the agent is still at the first ADD.
  const next = node.bridgeConf();
  const deleted = execute(node, "DEL", "p1", next);
  await new Promise((resolve) => setTimeout(resolve, 200)); // by then it is the agent's
  const added = execute(node, "ADD", "p1", next);
  await new Promise((resolve) => setTimeout(resolve, 200));
  open();
  ok(await deleted);
  ok(await added);
  node.inPod("p1", (pod) => assert.ok(pod.link("eth0"), "ADD said that it is there, and it is not"));
});

test("the server ends only when the calls under way have been answered", { skip }, async () => {
  using node = installed();
  const server = await serve(node);
  const { conf, asked, open } = gatedIpam(node);
  node.pod("p1");
  const adding = execute(node, "ADD", "p1", conf);
  await asked;
  const ended = server[Symbol.asyncDispose]();
  open();
  assert.equal(ok(await adding).ips[0].address, "10.244.1.9/24");
  await ended;
});

test("installCni() writes executables, the fallback and Flannel's configuration, and overwrites older ones", {
  skip,
}, () => {
  using node = installed();
  assert.deepEqual(readdirSync(node.path("bin")).sort(), [
    ...["bandwidth", "bridge", "firewall", "flannel", "host-local", "loopback"],
    ...["podpath-cni", "portmap", "ptp", "tuning"],
  ]);
  assert.equal(statSync(node.path("bin/flannel")).mode & 0o777, 0o755);
  const conf = JSON.parse(readFileSync(node.path("net.d/10-flannel.conflist"), "utf8"));
  assert.deepEqual(conf, {
    name: "cbr0",
    cniVersion: "1.0.0",
    plugins: [
      { type: "flannel", delegate: { hairpinMode: true, isDefaultGateway: true } },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  });
  writeFileSync(node.path("bin/flannel"), "old");
  installCni({ binDir: node.path("bin"), socketPath: socketOf(node) });
  assert.equal(readFileSync(node.path("bin/flannel")).subarray(1, 4).toString(), "ELF");
  assert.throws(() => installCni({ binDir: "/x", socketPath: "/s", fallback: "/nonexistent" }), /npm run build/);
});
