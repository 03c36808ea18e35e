import assert from "node:assert/strict";
import { test } from "node:test";
import { inPrivateMachine, machineState } from "../../kernel/testing/private-machine.ts";
import { podpath } from "../testing/podpath.ts";
import type { SoakResult } from "./messages.ts";

/** Ten times as long for a repair as on an idle machine: other tests run beside this one. */
const PATIENCE = ["--patience", "10"];

async function soak(...args: string[]): Promise<{ code: number | null; result: SoakResult; said: string }> {
  const { code, stdout, stderr } = await podpath(["lab", "soak", "--json", "--nodes", "2", ...PATIENCE, ...args]);
  assert.match(stdout, /^\{/, stderr);
  return { code, result: JSON.parse(stdout) as SoakResult, said: stdout };
}

inPrivateMachine(import.meta.url, () => {
  test("random faults leave every cell right and lose nothing that they did not touch", async () => {
    const before = machineState();
    const { code, result, said } = await soak("--minutes", "0.35", "--seed", "20");
    assert.deepEqual(result.violations, [], said);
    assert.equal(code, 0);
    assert.ok(result.rounds >= 2 && result.cells > 50 && result.sent > 100 && result.received > 100, said);
    assert.deepEqual(machineState(), before);
  });

  test("a soak finds a loss that no fault owns up to", async () => {
    const { code, result, said } = await soak("--minutes", "0.02", "--seed", "1", "--only", "secret-loss");
    assert.equal(code, 1);
    assert.ok(
      result.violations.some((text) => /^lost \d+ of (udp|icmp) pod-\d/.test(text)),
      said,
    );
  });

  test("a soak finds what nobody repairs", async () => {
    const { code, result, said } = await soak("--minutes", "0.02", "--seed", "1", "--only", "lasting-harm");
    assert.equal(code, 1);
    assert.ok(
      result.violations.some((text) => /still wrong: .*route in conflict/.test(text)),
      said,
    );
  });

  test("a fault that there is not is refused, and nothing is left", async () => {
    const before = machineState();
    const { code, stderr } = await podpath(["lab", "soak", "--only", "earthquake"]);
    assert.deepEqual([code, /no fault|earthquake/.test(stderr)], [1, true]);
    assert.deepEqual(machineState(), before);
  });
});
