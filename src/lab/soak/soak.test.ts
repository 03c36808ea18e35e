import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FAULT_KINDS, type FaultContext, nextFaults } from "./faults.ts";
import type { Loss } from "./messages.ts";
import { Random } from "./random.ts";
import { describeLosses, isTouched, unexplained } from "./verdict.ts";

const node = (n: number): object => ({
  name: `node${n}`,
  subnet: `10.244.${n}.0/24`,
  address: `192.168.100.1${n}`,
  gateway: `10.244.${n}.0`,
});

/** The names of the faults of so many rounds. */
function names(seed: number, rounds: number): string[] {
  const context = { random: new Random(seed), nodes: [node(1), node(2), node(3)] } as unknown as FaultContext;
  return Array.from({ length: rounds }, () => nextFaults(context, FAULT_KINDS).map(({ fault }) => fault.name)).flat();
}

describe("the faults of a soak", () => {
  it("are the same for the same seed, and others for another", () => {
    assert.deepEqual(names(7, 50), names(7, 50));
    assert.notDeepEqual(names(7, 50), names(8, 50));
  });

  it("come in all kinds, and never two of one round against the same thing", () => {
    const seen = new Set<string>();
    const context = { random: new Random(3), nodes: [node(1), node(2), node(3)] } as unknown as FaultContext;
    for (let i = 0; i < 1000; i++) {
      const faults = nextFaults(context, FAULT_KINDS);
      for (const { kind } of faults) seen.add(kind);
      const victims = faults.flatMap(({ fault }) => fault.of);
      assert.equal(new Set(victims).size, victims.length);
    }
    assert.deepEqual([...seen].sort(), [...FAULT_KINDS].sort());
  });
});

describe("unexplained()", () => {
  const loss = (fromNode: string, toNode: string, sentMs: number, waitingSinceMs = sentMs): Loss => ({
    ...{ protocol: "udp", from: "pod-1", to: "pod-2", fromNode, toNode, sentMs, waitingSinceMs },
  });
  const partition = { of: "partition", nodes: ["node1"], fromMs: 10_000, toMs: 12_000 };

  it("excuses what crossed the fabric from or to a touched node while it was", () => {
    for (const excused of [
      loss("node1", "node2", 11_000),
      loss("node3", "node1", 9500),
      loss("node1", "node2", 12_000),
    ])
      assert.deepEqual(unexplained([excused], [partition]), []);
  });

  it("excuses nothing between others, within a node, before or after", () => {
    const blamed = [
      loss("node2", "node3", 11_000),
      loss("node1", "node1", 11_000),
      loss("node1", "node2", 8999),
      loss("node1", "node2", 12_001),
    ];
    assert.deepEqual(unexplained(blamed, [partition]), blamed);
  });

  it("excuses what TCP held back behind a packet that was lost with reason", () => {
    assert.deepEqual(unexplained([loss("node1", "node2", 13_000, 11_900)], [partition]), []);
  });

  it("is told in a line for each flow, with the last fault before", () => {
    const lost = [loss("node2", "node3", 12_100), loss("node2", "node3", 12_500)];
    assert.deepEqual(describeLosses(lost, [partition]), [
      "lost 2 of udp pod-1 (node2) -> pod-2 (node3) within 400 ms, and no fault touched its way; " +
        "the last faults were partition, and all was right 100 ms before",
    ]);
  });

  it("knows a fault between two nodes from one of a whole node, and one that touches nobody", () => {
    const pair = { pairs: [["node1", "node2"]] } as const;
    assert.ok(isTouched(pair, "node2", "node1") && !isTouched(pair, "node1", "node3"));
    assert.ok(!isTouched({}, "node1", "node2"));
  });
});
