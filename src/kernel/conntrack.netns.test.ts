import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { Conntrack, createUnnamedNetNs, inNs } from "./index.ts";

const skip = whyNot();

/** Why this test cannot run here, or false. */
function whyNot(): string | false {
  if (process.getuid?.() !== 0) return "needs root, to make network namespaces";
  if (spawnSync("conntrack", ["--version"]).status !== 0)
    return "conntrack is not installed (apt-get install conntrack)";
  return false;
}

test("Conntrack lists entries of both families as conntrack(8) made them, and forgets one of them", { skip }, () => {
  using ns = createUnnamedNetNs();
  const run = (...args: string[]): void => {
    const { status, stderr } = inNs(ns, () => spawnSync("conntrack", args, { encoding: "utf8" }));
    assert.equal(status, 0, stderr);
  };
  const udp = ["-I", "-p", "udp", "-t", "120"];
  run(
    ...udp,
    "-s",
    "203.0.113.10",
    "-d",
    "10.96.0.10",
    "--sport",
    "40000",
    "--dport",
    "80",
    "-r",
    "10.244.1.2",
    "-q",
    "203.0.113.10",
    "--reply-port-src",
    "8080",
    "--reply-port-dst",
    "40000",
  );
  run(...udp, "-s", "203.0.113.10", "-d", "10.96.0.10", "--sport", "40001", "--dport", "80");
  run(...udp, "-s", "fd00::1", "-d", "fd00::2", "--sport", "5", "--dport", "6");
  using conntrack = Conntrack.open(ns);
  const entries = conntrack.list(4).sort((a, b) => Number(a.original.sourcePort) - Number(b.original.sourcePort));
  assert.equal(entries.length, 2);
  const [translated] = entries;
  assert.ok(translated);
  assert.deepEqual(translated.original, {
    protocol: 17,
    source: "203.0.113.10",
    destination: "10.96.0.10",
    sourcePort: 40000,
    destinationPort: 80,
  });
  assert.deepEqual(translated.reply, {
    protocol: 17,
    source: "10.244.1.2",
    destination: "203.0.113.10",
    sourcePort: 8080,
    destinationPort: 40000,
  });
  assert.deepEqual(
    conntrack.list(6).map(({ original }) => [original.source, original.destination, original.destinationPort]),
    [["fd00::1", "fd00::2", 6]],
  );
  assert.equal(conntrack.delete(translated), true);
  assert.equal(conntrack.delete(translated), false);
  assert.deepEqual(
    conntrack.list(4).map(({ original }) => original.sourcePort),
    [40001],
  );
});
