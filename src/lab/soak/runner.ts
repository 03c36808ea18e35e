// The soak: faults, one round after another, under constant traffic. After each round every lease is compared with every
// kernel by the code of `podpath status`, again after a quiet second, and at the end every loss with the faults. Runs inside
// the lab, as a process of its own.
import { spawnSync } from "node:child_process";
import { basename, dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cellsOf, isRight, type NodeStatus } from "../../agent/index.ts";
import { openEtcdStore, type Store } from "../../store/index.ts";
import { askControl } from "../control.ts";
import { LabError, reasonOf } from "../errors.ts";
import type { LabInfo } from "../messages.ts";
import { childEnvironment } from "../programs.ts";
import { stateDir } from "../state-dir.ts";
import { setClock } from "./clock.ts";
import { FAULT_KINDS, type FaultContext, nextFaults } from "./faults.ts";
import { Flows } from "./flows.ts";
import type { FromSoak, SoakRequest, SoakResult } from "./messages.ts";
import { NodeUnderTest } from "./node-under-test.ts";
import { Random } from "./random.ts";
import { describeLosses, unexplained, type Window } from "./verdict.ts";

/** How long a repair may take: by the agent that sees it happen, and by one that hears of it through the store. */
const REPAIR_MS = { seen: 1000, throughStore: 10_000 } as const;
const LOOK_EVERY_MS = 50;

interface Tally {
  rounds: number;
  faults: number;
  cells: number;
  readonly violations: string[];
  readonly windows: Window[];
  readonly repairs: Map<string, number[]>;
}

export async function runSoak(request: SoakRequest, say: (message: FromSoak) => void): Promise<void> {
  const { info, seed, durationMs, flow } = request;
  const nodes = NodeUnderTest.all(info);
  await using store = await openEtcdStore({ endpoints: [info.store.unix] });
  using flows = await Flows.start(info, flow);
  const context = faultContext(request, nodes, store);
  const tally: Tally = { rounds: 0, faults: 0, cells: 0, violations: [], windows: [], repairs: new Map() };
  const violate = (text: string): void => {
    tally.violations.push(text);
    say({ type: "violation", text });
  };
  const possible = request.hasClocks ? FAULT_KINDS : FAULT_KINDS.filter((kind) => kind !== "clock-jump");
  const kinds = request.only.length > 0 ? request.only : possible;
  const endMs = nowMs() + durationMs;
  while (nowMs() < endMs) {
    await sleep(context.random.integer(0, 500));
    const { faults, faultMs, repairMs } = await playRound(request, context, kinds, tally, violate);
    tally.rounds++;
    say({ type: "round", round: { number: tally.rounds, faults, faultMs, repairMs } });
  }
  const { sent, received } = await flows.stop();
  const blamed = unexplained(flows.losses, tally.windows);
  for (const text of describeLosses(blamed, tally.windows)) violate(text);
  const { rounds, faults, cells, violations } = tally;
  const lostToFaults = flows.losses.length - blamed.length;
  const result: SoakResult = {
    ...{ seed, rounds, faults, cells, sent, received, lostToFaults, violations },
    repairs: summary(tally.repairs),
  };
  say({ type: "done", result });
}

async function playRound(
  { patience }: SoakRequest,
  context: FaultContext,
  kinds: readonly string[],
  tally: Tally,
  violate: (text: string) => void,
): Promise<{ faults: string[]; faultMs: number; repairMs: number }> {
  const chosen = nextFaults(context, kinds);
  const names = chosen.map(({ fault }) => fault.name);
  const throughStore = chosen.some(({ fault }) => fault.throughStore);
  const fromMs = nowMs();
  const outcomes = await Promise.allSettled(chosen.map(({ fault }) => fault.run()));
  for (const outcome of outcomes)
    if (outcome.status === "rejected") violate(`${names.join(" + ")}: ${reasonOf(outcome.reason)}`);
  const overMs = nowMs();
  const deadlineMs = overMs + patience * (throughStore ? REPAIR_MS.throughStore : REPAIR_MS.seen);
  let wrong = await lookAtAll(context, tally);
  while (wrong.length > 0 && nowMs() < deadlineMs) {
    await sleep(LOOK_EVERY_MS);
    wrong = await lookAtAll(context, tally);
  }
  const rightMs = nowMs();
  if (wrong.length > 0)
    violate(`${Math.round(rightMs - overMs)} ms after ${names.join(" + ")} it is still wrong: ${wrong.join("; ")}`);
  // The last look began up to a whole look before its end.
  for (const { fault } of chosen) tally.windows.push({ ...fault.touched, of: fault.name, fromMs, toMs: rightMs });
  await sleep(1000);
  const after = await lookAtAll(context, tally);
  if (wrong.length === 0 && after.length > 0) violate(`a quiet second after ${names.join(" + ")}: ${after.join("; ")}`);
  const [only] = chosen;
  const repairMs = Math.round(rightMs - overMs);
  if (only && chosen.length === 1) tally.repairs.set(only.kind, [...(tally.repairs.get(only.kind) ?? []), repairMs]);
  tally.faults += chosen.length;
  return { faults: names, faultMs: Math.round(overMs - fromMs), repairMs };
}

/** Every cell of every node; what is wrong, in words. */
async function lookAtAll({ nodes, endpoint }: FaultContext, tally: Tally): Promise<string[]> {
  // A connection of its own, which waits for nobody: that of a store that was away comes back more and more seldom.
  await using store = await openEtcdStore({ endpoints: [endpoint] });
  const looks = nodes.map(async (node) => {
    const status = await node.look(store);
    tally.cells += 3 * status.peers.length + status.checks.length;
    return wrongIn(status, nodes.length - 1).map((text) => `${node.name}: ${text}`);
  });
  return (await Promise.all(looks)).flat();
}

function wrongIn({ checks, peers, stale }: NodeStatus, count: number): string[] {
  return [
    ...checks.filter(({ verdict }) => verdict !== "ok").map(({ of, why }) => `${of}: ${why}`),
    ...peers
      .filter((peer) => peer.inTheWay !== undefined || cellsOf(peer).some((cell) => !isRight(cell)))
      .map((peer) => `peer ${peer.subnet}: route ${peer.route}, neighbour ${peer.neighbour}, FDB ${peer.fdb}`),
    ...stale.map((what) => `stale ${what}`),
    ...(peers.length < count ? [`only ${peers.length} of ${count} peers have a lease`] : []),
  ];
}

function faultContext({ info, seed }: SoakRequest, nodes: readonly NodeUnderTest[], store: Store): FaultContext {
  const dir = stateDir(basename(info.stateDir), dirname(info.stateDir));
  return {
    random: new Random(seed),
    nodes,
    store,
    endpoint: info.store.unix,
    fabric: (command) => {
      const [program = "", ...args] = command.split(" ");
      const { status, stderr } = spawnSync(program, args, { encoding: "utf8", env: childEnvironment() });
      if (status !== 0) throw new LabError(`run "${command}" in the fabric`, { reason: stderr.trim() });
    },
    kill: async (process, signal, wait) => void (await askControl(dir, { method: "kill", process, signal, wait })),
    setClock: (node, offsetSeconds) => setClock(pidOf(info, node), offsetSeconds),
  };
}

function pidOf(info: LabInfo, name: string): number {
  const node = info.nodes.find((candidate) => candidate.name === name);
  if (!node) throw new LabError(`find ${name}`, { reason: "there is none" });
  return node.pid;
}

function summary(repairs: ReadonlyMap<string, readonly number[]>): SoakResult["repairs"] {
  return Object.fromEntries(
    [...repairs]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([kind, times]) => {
        const sorted = [...times].sort((a, b) => a - b);
        return [kind, { count: sorted.length, medianMs: sorted[sorted.length >> 1] ?? 0, maxMs: sorted.at(-1) ?? 0 }];
      }),
  );
}

/** CLOCK_MONOTONIC, as the flows have it. */
function nowMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}
