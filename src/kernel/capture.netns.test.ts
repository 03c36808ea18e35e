import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { existsSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { type Bpf, type Capture, openCapture } from "./capture.ts";
import { clockNs } from "./clock.ts";
import { createUnnamedNetNs, inNs, type NetNs } from "./netns.ts";
import { writeSysctl } from "./sysctl.ts";
import { openTraceInstance, type TraceEventRequest } from "./tracefs.ts";

function why(): string | false {
  try {
    using _ns = createUnnamedNetNs();
    return false;
  } catch (error) {
    return `no network namespaces here: ${error instanceof Error ? error.message : error}`;
  }
}
const skip = why();

function ip(ns: NetNs, args: string): void {
  const { status, stderr } = inNs(ns, () => spawnSync("ip", args.split(" "), { encoding: "utf8" }));
  assert.equal(status, 0, `ip ${args}: ${stderr}`);
}

/** Two namespaces joined by a veth pair: left 10.9.0.1, right 10.9.0.2. */
function pair(): Disposable & { left: NetNs; right: NetNs } {
  const [left, right] = [createUnnamedNetNs(), createUnnamedNetNs()];
  // IPv6 speaks up by itself whenever it likes.
  for (const ns of [left, right]) writeSysctl("net/ipv6/conf/all/disable_ipv6", "1", ns);
  ip(left, `link add vleft type veth peer name vright netns /proc/${process.pid}/fd/${right.fd}`);
  ip(left, "link set lo up");
  ip(left, "link set vleft up");
  ip(right, "link set vright up");
  ip(left, "address add 10.9.0.1/24 dev vleft");
  ip(right, "address add 10.9.0.2/24 dev vright");
  return {
    left,
    right,
    [Symbol.dispose]: () => {
      left.close();
      right.close();
    },
  };
}

/** A UDP socket made and bound inside `ns`; with a port it shows what arrives. */
function udp(ns: NetNs, address: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    // Node looks even an address up on another thread; this lookup answers at once, so that the bind is in the window.
    const socket = createSocket({ type: "udp4", lookup: (name, _options, done) => done(null, name, 4) });
    socket.once("error", reject);
    inNs(ns, () => {
      socket.bind({ address, port }, () => resolve(socket));
    });
  });
}

async function sendAndWait(from: Socket, to: Socket, text: string | Uint8Array): Promise<void> {
  const arrived = new Promise((resolve) => to.once("message", resolve));
  from.send(text, to.address().port, to.address().address);
  await arrived;
}

/** The kernel takes a moment to begin, and has no event for it. */
async function stamping(capture: Capture): Promise<void> {
  while (!capture.isStamping()) await new Promise((resolve) => setImmediate(resolve));
}

const find = (frame: Uint8Array, text: string): boolean => Buffer.from(frame).includes(text);

test("a capture shows a packet at both ends of a veth pair, in order, on the realtime clock", { skip }, async () => {
  using net = pair();
  using atLeft = openCapture(net.left);
  using atRight = openCapture(net.right);
  const [from, to] = [await udp(net.left, "10.9.0.1", 0), await udp(net.right, "10.9.0.2", 0)];
  try {
    await stamping(atLeft);
    const before = clockNs("realtime");
    await sendAndWait(from, to, "podpath-ping 1");
    const after = clockNs("realtime");
    const seen = [...atLeft.drain(), ...atRight.drain()].filter(({ frame }) => find(frame, "podpath-ping 1"));
    assert.deepEqual(
      seen.map(({ device, direction, packetType }) => [device, direction, packetType]),
      [
        ["vleft", "tx", 4],
        ["vright", "rx", 0],
      ],
    );
    const times = [before, ...seen.map(({ timestampNs }) => timestampNs), after];
    assert.deepEqual(
      times,
      times.toSorted((a, b) => Number(a - b)),
    );
    assert.deepEqual(seen[0]?.frame, seen[1]?.frame);
    assert.equal(seen[0]?.originalLength, 14 + 20 + 8 + 14);
    assert.deepEqual([atLeft.drops, atRight.drops], [0, 0]);
    assert.deepEqual(atLeft.drain(), []);
  } finally {
    from.close();
    to.close();
  }
});

test("isStamping() becomes true, and says when it cannot know", { skip }, async () => {
  using net = pair();
  using atLeft = openCapture(net.left);
  using atRight = openCapture(net.right);
  await stamping(atLeft);
  assert.equal(atRight.isStamping(), undefined, "lo is down there");
  assert.deepEqual(atLeft.drain(), [], "what it sent to find out is gone");
});

test("lo shows each packet handed over and received", { skip }, async () => {
  using net = pair();
  using capture = openCapture(net.left);
  const [from, to] = [await udp(net.left, "127.0.0.1", 0), await udp(net.left, "127.0.0.1", 0)];
  try {
    await sendAndWait(from, to, "podpath-ping 2");
    const seen = capture.drain().filter(({ frame }) => find(frame, "podpath-ping 2"));
    assert.deepEqual(
      seen.map(({ device, direction, hardwareType }) => [device, direction, hardwareType]),
      [
        ["lo", "tx", 772],
        ["lo", "rx", 772],
      ],
    );
  } finally {
    from.close();
    to.close();
  }
});

test("a filter in the kernel keeps frames out, and cuts those it lets pass", { skip }, async () => {
  using net = pair();
  // tcpdump -ddd 'udp dst port 7001' in short: UDP over IPv4, its destination port, 60 bytes of it.
  const filter: Bpf = [
    { code: 0x28, jt: 0, jf: 0, k: 12 },
    { code: 0x15, jt: 0, jf: 3, k: 0x0800 },
    { code: 0x28, jt: 0, jf: 0, k: 36 },
    { code: 0x15, jt: 0, jf: 1, k: 7001 },
    { code: 0x06, jt: 0, jf: 0, k: 60 },
    { code: 0x06, jt: 0, jf: 0, k: 0 },
  ];
  using capture = openCapture(net.right, { filter });
  const [from, wanted] = [await udp(net.left, "10.9.0.1", 0), await udp(net.right, "10.9.0.2", 7001)];
  const other = await udp(net.right, "10.9.0.2", 7002);
  try {
    await sendAndWait(from, other, "to the other");
    await sendAndWait(from, wanted, new Uint8Array(500));
    const seen = capture.drain();
    assert.deepEqual(
      seen.map(({ frame, originalLength }) => [frame.length, originalLength]),
      [[60, 542]],
    );
  } finally {
    for (const socket of [from, wanted, other]) socket.close();
  }
});

test("a capture whose buffer is too small counts what it lost", { skip }, async () => {
  using net = pair();
  using capture = openCapture(net.left, { bufferBytes: 4096 });
  const [from, to] = [await udp(net.left, "127.0.0.1", 0), await udp(net.left, "127.0.0.1", 0)];
  try {
    for (let i = 0; i < 20; i++) await sendAndWait(from, to, new Uint8Array(1000));
    const kept = capture.drain().filter(({ originalLength }) => originalLength === 1042).length;
    assert.ok(kept < 40, `${kept} kept`);
    assert.ok(capture.drops >= 40 - kept, `${capture.drops} drops, ${kept} kept`);
  } finally {
    from.close();
    to.close();
  }
});

test("a closed capture gives nothing and can be closed again", { skip }, () => {
  using net = pair();
  const capture = openCapture(net.left);
  capture.close();
  capture.close();
  assert.deepEqual(capture.drain(), []);
});

const EVENTS = [
  { event: "net:net_dev_queue", filter: "len==819" },
  { event: "net:netif_receive_skb", filter: "len==805" },
];

test("a trace instance records the filtered events on the captures' clock", { skip }, async (t) => {
  using trace = open(EVENTS);
  if (!trace.available) return t.skip(trace.reason);
  using net = pair();
  using capture = openCapture(net.left);
  const [from, to] = [await udp(net.left, "127.0.0.1", 0), await udp(net.left, "127.0.0.1", 0)];
  try {
    await sendAndWait(from, to, new Uint8Array(777));
    await stamping(capture);
    trace.start();
    await sendAndWait(from, to, new Uint8Array(778));
    await sendAndWait(from, to, new Uint8Array(777));
    trace.stop();
    const events = trace.read().filter(({ fields }) => fields.dev === "lo");
    assert.deepEqual(
      events.map(({ name, fields }) => [name, fields.len]),
      [
        ["net_dev_queue", "819"],
        ["netif_receive_skb", "805"],
      ],
    );
    const [sent] = capture.drain().slice(-2);
    const distance = Number((events[0]?.timestampNs ?? 0n) - (sent?.timestampNs ?? 0n));
    // The tracepoint comes just before the tap; a clock that is another one would be seconds or decades off.
    assert.ok(Math.abs(distance) < 50_000_000, `${distance} ns`);
    assert.deepEqual(trace.missing, []);
  } finally {
    from.close();
    to.close();
  }
});

test("a trace instance says what the kernel does not have, and works without", { skip }, (t) => {
  using trace = open([{ event: "net:no_such_event" }, { event: "net:net_dev_queue", filter: "colour==7" }]);
  if (!trace.available) return t.skip(trace.reason);
  assert.deepEqual(trace.missing, [
    "this kernel has no tracepoint net:no_such_event",
    "net:net_dev_queue has no field colour here: not filtered",
  ]);
});

test("instances are gone after close, and those that a killed process left go at the next open", { skip }, (t) => {
  using trace = open(EVENTS);
  if (!trace.available) return t.skip(trace.reason);
  const module = new URL("./tracefs.js", import.meta.url).href;
  const script = `
    const { openTraceInstance } = await import(${JSON.stringify(module)});
    const trace = openTraceInstance(${JSON.stringify(EVENTS)});
    console.log(trace.name);
    process.kill(process.pid, "SIGKILL");`;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  assert.equal(child.signal, "SIGKILL");
  assert.match(child.stdout, /^podpath-\d+-0\n$/);
  using next = open(EVENTS);
  if (!next.available) return t.skip(next.reason);
  const names = instances(next.name);
  assert.ok(names.includes(trace.name), "one that is in use was removed");
  assert.ok(!names.includes(child.stdout.trim()), "a dead process's instance is still there");
  next.close();
  assert.ok(!instances(trace.name).includes(next.name));
});

function open(events: readonly TraceEventRequest[]): ReturnType<typeof openTraceInstance> & Disposable {
  const trace = openTraceInstance(events);
  return trace.available ? trace : { ...trace, [Symbol.dispose]: () => {} };
}

/** The instances/ folder that has the instance `own`: by the mount, or by the descriptor of a detached one. */
function instances(own: string): string[] {
  const descriptors = readdirSync("/proc/self/fd").map((fd) => `/proc/self/fd/${fd}`);
  const root = ["/sys/kernel/tracing", ...descriptors].find((path) => existsSync(`${path}/instances/${own}`));
  return root ? readdirSync(`${root}/instances`) : [];
}
