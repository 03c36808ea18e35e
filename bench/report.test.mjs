import assert from "node:assert/strict";
import { test } from "node:test";
import { datapathText } from "./report.mjs";

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
