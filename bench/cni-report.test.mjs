import assert from "node:assert/strict";
import { test } from "node:test";
import { cniText } from "./cni-report.mjs";

const AIM = { addMilliseconds: 2, delMilliseconds: 3, shareOfReference: 0.2, timesFasterTogether: 10 };
const NONE = { links: 0, addresses: 0, scratch: 0 };

const call = (our, their) => ({
  ours: { p50: our, p99: our * 2 },
  reference: { p50: their, p99: their * 2 },
  ratio: our / their,
  low: our / their - 0.01,
  high: our / their + 0.01,
});

function result({ add = 2, reference = 12.5, together = 10, failures = [], leaks = NONE, flannel = false, more = {} }) {
  const all = { "ADD together": call(together, 200), "DEL together": call(together, 150) };
  const chain = {
    name: "flannel → bridge + host-local",
    reference: "bridge + host-local",
    count: 120,
    calls: { floor: call(0.7, 0.7), VERSION: call(1, 2.5), ADD: call(add, reference), DEL: call(2.5, 25) },
    each: { "ADD each": call(9, 150), "DEL each": call(9, 120) },
    together: all,
    failures: { ours: failures, reference: [] },
  };
  return {
    chains: [chain],
    missing: [],
    leaks: { ours: leaks, reference: NONE },
    ours: { bytes: 1695, node: "node3", flannel: true },
    reference: { pluginDir: "/usr/lib/cni", node: "node4", flannel },
    ...more,
  };
}

const line = (text, start) => text.split("\n").find((each) => each.trim().startsWith(start));

test("cniText() gives the ratio with its interval first, then both sides' p50 (p99)", () => {
  assert.match(
    line(cniText(result({}), AIM), "ADD "),
    /^ {2}ADD +0\.16 \[0\.15, 0\.17\] +2\.00 \(4\.00\) +12\.50 \(25\.00\)$/,
  );
});

test("cniText() says of each aim whether it was met", () => {
  const good = cniText(result({}), AIM);
  assert.doesNotMatch(good, /MISSED/);
  assert.match(good, /met +ADD at most 2 ms: 2\.00/);
  assert.match(good, /met +DEL, 20 at once: at least 10 times as fast as the reference: 15\.00/);
  const slow = cniText(result({ add: 4, reference: 10, together: 30 }), AIM);
  assert.match(slow, /MISSED +ADD at most 2 ms: 4\.00/);
  assert.match(slow, /MISSED +ADD at most 0\.2 of the reference: 0\.40/);
  assert.match(slow, /MISSED +ADD, 20 at once: .*: 6\.67/);
});

test("cniText() tells of calls that failed, of what is left behind, and of chains that could not be measured", () => {
  const more = { missing: [{ name: "ptp + host-local", ours: ["ptp"], reference: [] }] };
  const text = cniText(result({ failures: ["bridge ADD exited 1"], leaks: { ...NONE, links: 2 }, more }), AIM);
  assert.match(text, /1 calls of podpath FAILED, the first: bridge ADD exited 1/);
  assert.match(text, /MISSED +no call fails: 1/);
  assert.match(text, /MISSED +nothing is left behind: 2 devices, 0 addresses/);
  assert.match(text, /Not measured: ptp \+ host-local: podpath has no ptp\./);
});

test("cniText() has the burst and the thousand pods when they were measured", () => {
  const burst = {
    pods: 200,
    failures: { ours: [], reference: [] },
    "ADD together": call(300, 2400),
    "DEL together": call(90, 1800),
  };
  const large = {
    pods: 1000,
    seconds: { add: 2, del: 1 },
    add: { p50: 30, p99: 60 },
    del: { p50: 20, p99: 30 },
    rssMebibytes: { before: 90, after: 95, idle: 93 },
    failures: [],
  };
  const text = cniText(result({ more: { burst, large } }), AIM);
  assert.match(text, /MISSED +ADD, 200 at once: .*: 8\.00/);
  assert.match(text, /met +DEL, 200 at once: .*: 20\.00/);
  assert.match(text, /ADD 2\.0 s, 500\/s, each 30\.00 \(60\.00\) ms/);
  assert.match(text, /RSS: 90 MiB before, 95 with them, 93 after/);
});

test("cniText() says that the reference does without flannel, and what it would cost, unless it is there", () => {
  assert.match(cniText(result({ add: 3 }), AIM), /about 15\.0 ms, of which podpath's ADD is 0\.20/);
  assert.doesNotMatch(cniText(result({ flannel: true }), AIM), /There is no flannel/);
});
