import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { AgentStatus } from "./agent.ts";
import { Metrics } from "./metrics.ts";

/** Something of everything. */
const STATUS: AgentStatus = {
  ...{ pid: 1, node: "node1", subnet: "10.244.1.0/24", interface: "eth0", publicIp: "192.168.100.11", backend: "udp" },
  ...{ devices: ["flannel0"], mtu: 1472, skippedLeases: 3, leaseExpiresAt: "2026-11-25T12:00:00.000Z" },
  datapath: {
    ...{ peers: 5, leases: { used: 3, ignored: 2, held: 1 }, changes: 7, passes: 9, conflicts: [] },
    failures: [{ of: "peer 10.244.2.0/24", why: "because" }],
  },
  store: {
    connected: true,
    heardAtMs: 1_700_000_000_500,
    counts: { reconnects: 2, watchResumes: 4, watchRestarts: 1 },
  },
  gateway: {
    ...{ services: 6, endpointSlices: 6, skipped: [], syncs: { full: 1, partial: 2, failed: 3 } },
    badValues: { "/podpath/services/specs/default/x": "bad" },
  },
  traffic: { packets: { tx: 10, rx: 11 }, bytes: { tx: 1000, rx: 1100 }, drops: { "no-route": 2 } },
};

describe("Metrics", () => {
  const metrics = new Metrics({ version: "1.2.3", status: () => STATUS, whyNotReady: () => undefined });
  after(() => metrics[Symbol.dispose]());
  metrics.passed({ seconds: 0.01, cause: "drift", changes: { "replace-route": 1 } });
  metrics.cniCalled({ command: "ADD", succeeded: true, seconds: 0.01 });

  it("tells what the status says", async () => {
    const { text } = await metrics.text();
    const lines = text.split("\n");
    for (const line of [
      'podpath_build_info{version="1.2.3"} 1',
      "podpath_peers 5",
      'podpath_leases{state="used"} 3',
      'podpath_leases{state="ignored"} 2',
      'podpath_leases{state="held"} 1',
      "podpath_leases_skipped_total 3",
      "podpath_lease_expiry_timestamp_seconds 1795608000",
      "podpath_peers_failed 1",
      "podpath_store_connected 1",
      "podpath_store_last_heard_timestamp_seconds 1700000000.5",
      "podpath_store_reconnects_total 2",
      "podpath_store_watch_resumes_total 4",
      "podpath_store_watch_restarts_total 1",
      "podpath_gateway_services 6",
      "podpath_gateway_bad_values 1",
      'podpath_gateway_syncs_total{kind="failed"} 3',
      'podpath_tunnel_packets_total{direction="rx"} 11',
      'podpath_tunnel_bytes_total{direction="tx"} 1000',
      'podpath_tunnel_drops_total{reason="no-route"} 2',
    ])
      assert.ok(lines.includes(line), `${line}\n${text}`);
    assert.equal((await metrics.text()).text.match(/^podpath_tunnel_packets_total\{direction="tx"\} 10$/m)?.length, 1);
  });

  it("tells nothing of a node that is not up but that it is not", async () => {
    using starting = new Metrics({ version: "1", status: () => undefined, whyNotReady: () => "it is starting" });
    const { text } = await starting.text();
    assert.match(text, /^podpath_ready 0$/m);
    assert.doesNotMatch(text, /^podpath_(peers|store_connected|lease_expiry_timestamp_seconds) /m);
  });

  const promtool = spawnSync("promtool", ["--version"]).status === 0;
  it("passes promtool's lint", { skip: !promtool && "promtool is not installed (Debian: prometheus)" }, async () => {
    const { text } = await metrics.text();
    const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
    assert.equal(status, 0, stdout + stderr);
    assert.equal(stdout + stderr, "");
  });

  it("has each metric in docs/metrics.md, and no other there", async () => {
    const { text } = await metrics.text();
    const told = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name).sort();
    const page = readFileSync(new URL("../../docs/metrics.md", import.meta.url), "utf8");
    const documented = [...page.matchAll(/^\| `([a-z_]+)/gm)].map(([, name]) => name).sort();
    assert.deepEqual(documented, told);
  });

  it("has only alert rules that promtool can read", { skip: !promtool && "promtool is not installed" }, () => {
    const page = readFileSync(new URL("../../docs/metrics.md", import.meta.url), "utf8");
    const rules = /```yaml\n(.*?)```/s.exec(page)?.[1];
    const dir = mkdtempSync(join(tmpdir(), "podpath-rules-"));
    after(() => rmSync(dir, { recursive: true }));
    const file = join(dir, "rules.yaml");
    writeFileSync(file, rules ?? "");
    const { status, stdout, stderr } = spawnSync("promtool", ["check", "rules", file], { encoding: "utf8" });
    assert.equal(status, 0, stdout + stderr);
  });
});
