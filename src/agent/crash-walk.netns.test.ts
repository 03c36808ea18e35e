// kill -9 at every step of ADD and DEL: of the agent that does the work, of the client that waits for it, and of the plugin's
// own process where there is no agent. After each crash the runtime does what runtimes do: it calls DEL and tries again, or it forgets the container and
// collects garbage. Either leaves exactly what was there before, and the neighbour's attachment as it was.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import type { JsonObject } from "../formats/cni/index.ts";
import { RECORDS_FOLDER } from "../plugins/rules/records.ts";
import { cannotMakeNamespaces } from "../plugins/testing/fake-node.ts";
import { KilledNode, type Step, type Victim } from "./testing/killed-node.ts";
import { eventually, lacks } from "./testing/runtime-machine.ts";

const bundle = fileURLToPath(new URL("../cni/podpath-cni.cjs", import.meta.url));
const skip =
  lacks("strace") || (existsSync(bundle) ? cannotMakeNamespaces() : `${bundle} is missing: npm run build makes it`);

type Recovery = "retry" | "GC";

/** What the network is made of: devices and files, and with ipMasq rules and the record of them too. */
const NETWORKS: readonly (readonly [name: string, conf: JsonObject, victims: readonly Victim[]])[] = [
  ["a bridge", {}, ["agent", "client", "plugin"]],
  ["a bridge with rules", { delegate: { isDefaultGateway: true, ipMasq: true } }, ["agent", "plugin"]],
];

for (const [network, conf, victims] of NETWORKS)
  for (const victim of victims)
    for (const command of ["ADD", "DEL"] as const)
      for (const recovery of ["retry", "GC"] satisfies Recovery[])
        test(`${network}: kill -9 of the ${victim} at every step of ${command}, then ${recovery}`, {
          skip,
        }, async (t) => {
          await using killed = new KilledNode(victim, conf);
          await walk(killed, command, recovery, (what) => t.diagnostic(what));
        });

async function walk(
  killed: KilledNode,
  command: "ADD" | "DEL",
  recovery: Recovery,
  say: (what: string) => void,
): Promise<void> {
  const { node } = killed;
  node.pod("neighbour");
  const prevResult = await killed.call("ADD", "neighbour");
  const before = stateOf(killed);
  const steps = await walkOf(killed, command);
  let kills = 0;
  for (const step of steps) {
    node.pod("p1");
    if (command === "DEL") await killed.call("ADD", "p1");
    if (await killed.kill(step, command, "p1")) kills++;
    if (recovery === "retry") await tryAgain(killed);
    else await collectGarbage(killed);
    const what = `kill -9 at ${step.call} ${step.nth}`;
    await eventually(what, () => isDeepStrictEqual(stateOf(killed), before), 5000).catch(() =>
      assert.deepEqual(stateOf(killed), before, what),
    );
  }
  await killed.call("CHECK", "neighbour", { prevResult });
  say(`${kills} kills at ${steps.length} steps`);
  assert.ok(kills > steps.length / 2, `only ${kills} of ${steps.length} steps were come to`);
}

/** What a runtime does whose ADD or DEL failed. */
async function tryAgain(killed: KilledNode): Promise<void> {
  await killed.call("DEL", "p1");
  const prevResult = await killed.call("ADD", "p1");
  await killed.call("CHECK", "p1", { prevResult });
  await killed.call("DEL", "p1", { prevResult });
  killed.node.deletePod("p1");
}

/** What a runtime does that lost all knowledge of the container. */
async function collectGarbage(killed: KilledNode): Promise<void> {
  killed.node.deletePod("p1");
  await killed.call("GC", "neighbour", {
    "cni.dev/valid-attachments": [{ containerID: "neighbour", ifname: "eth0" }],
  });
}

async function walkOf(killed: KilledNode, command: "ADD" | "DEL"): Promise<Step[]> {
  killed.node.pod("p1");
  if (command === "DEL") await killed.call("ADD", "p1");
  const steps = await killed.steps(command, "p1");
  if (command === "ADD") await killed.call("DEL", "p1");
  killed.node.deletePod("p1");
  return steps;
}

/** But for the link-local addresses, which the kernel gives a device when it finds the time. */
function stateOf({ node }: KilledNode): unknown {
  const state = node.state();
  return {
    ...state,
    addresses: state.addresses.filter((address) => !address.startsWith("fe80:")),
    rules: execFileSync("nft", ["-s", "list", "ruleset"], { encoding: "utf8" }),
    records: existsSync(RECORDS_FOLDER)
      ? readdirSync(RECORDS_FOLDER).filter((name) => !name.startsWith(".iptables"))
      : [],
  };
}
