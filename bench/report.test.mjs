import assert from "node:assert/strict";
import { test } from "node:test";
import { cniText, datapathText } from "./report.mjs";

const AIM = { addMilliseconds: 3, shareOfReference: 0.2 };

function cniResult({ ours, reference, plugin = "bridge" }) {
  const call = (our, their) => ({
    ours: { p50: our, p99: our * 2 },
    reference: { p50: their, p99: their * 2 },
    ratio: our / their,
    low: our / their - 0.01,
    high: our / their + 0.01,
  });
  return {
    count: 120,
    calls: { floor: call(0.7, 0.7), VERSION: call(1, 2.5), ADD: call(ours, reference), DEL: call(5, 25) },
    ours: { chain: "flannel → bridge → host-local", bytes: 1695, node: "node3" },
    reference: { chain: "bridge → host-local", pluginDir: "/usr/lib/cni", node: "node4", plugin },
  };
}

test("cniText() gives the ratio with its interval first, then both sides' p50 (p99)", () => {
  const line = cniText(cniResult({ ours: 2, reference: 12.5 }), AIM)
    .split("\n")
    .find((each) => each.startsWith("  ADD"));
  assert.match(line, /^ {2}ADD +0\.16 \[0\.15, 0\.17\] +2\.00 \(4\.00\) +12\.50 \(25\.00\)$/);
});

test("cniText() says of each aim whether it was met", () => {
  assert.match(cniText(cniResult({ ours: 2, reference: 12.5 }), AIM), /3 ms: 2\.00, met; .* reference: 0\.16, met\./);
  assert.match(cniText(cniResult({ ours: 4, reference: 10 }), AIM), /3 ms: 4\.00, MISSED; .*: 0\.40, MISSED\./);
  assert.match(cniText(cniResult({ ours: 2.9, reference: 10 }), AIM), /3 ms: 2\.90, met; .*: 0\.29, MISSED\./);
});

test("cniText() says that the reference does without flannel, and what it would cost, unless it is there", () => {
  assert.match(
    cniText(cniResult({ ours: 3, reference: 12.5 }), AIM),
    /about 15\.0 ms, of which podpath's ADD is 0\.20/,
  );
  assert.doesNotMatch(cniText(cniResult({ ours: 3, reference: 12.5, plugin: "flannel" }), AIM), /There is no flannel/);
});

function datapathResult(settings, lost = 0) {
  const metric = (name, ratio) => ({ name, unit: "/s", ratio, low: ratio, high: ratio, median: 5e4, p50: 16, lost });
  const metrics = (ratio) => ["TCP stream", "TCP_RR", "UDP_RR", "TCP_CRR"].map((name) => metric(name, ratio));
  const paths = [
    { name: "host → host", metrics: metrics(1) },
    { name: "pod → pod, other host", metrics: metrics(0.5) },
  ];
  return { paths, settings: { congestionControl: settings, callMicroseconds: 0.4 }, rounds: 9, twoCpus: false };
}

test("datapathText() gives the ratios before the figures", () => {
  const text = datapathText(datapathResult(["reno"]));
  assert.ok(text.indexOf("0.50 [0.50, 0.50]") < text.indexOf("50,000/s, 16.0 µs"));
  assert.doesNotMatch(text, /WARNING/);
});

test("datapathText() warns of any other congestion control than reno, and of lost datagrams", () => {
  assert.match(datapathText(datapathResult(["bbr", "reno"])), /WARNING: not reno everywhere/);
  assert.match(datapathText(datapathResult(["reno"], 2)), /WARNING: datagrams without an answer/);
});
