import assert from "node:assert/strict";
import { test } from "node:test";
import type { LabInfo } from "./messages.ts";
import { formatLab } from "./table.ts";

function withEndpoints(count: number): LabInfo {
  const endpoints = Array.from({ length: count }, (_, i) => `10.244.1.${i + 2}:8080`);
  const service = { name: "web", namespace: "default", clusterIPs: ["10.96.0.10"], ports: [], endpoints };
  const store = {
    kind: "embedded",
    state: "running",
    restarts: 0,
    endpoint: "http://192.168.100.2:2379",
    unix: "unix:///s",
  };
  return {
    name: "lab",
    state: "running",
    since: "now",
    rootless: false,
    store,
    nodes: [],
    pods: [],
    services: [service],
  } as unknown as LabInfo;
}

test("formatLab() shows as many endpoints as a line can hold, and counts the rest", () => {
  const line = (count: number): string | undefined => formatLab(withEndpoints(count)).split("\n").at(-1);
  assert.match(line(0) ?? "", / none$/);
  assert.match(line(4) ?? "", /10\.244\.1\.5:8080$/);
  assert.match(line(60) ?? "", /10\.244\.1\.5:8080 and 56 more$/);
});
