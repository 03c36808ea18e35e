import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { inPrivateMachine } from "../kernel/testing/private-machine.ts";
import type { ScenarioResult } from "./scenarios/messages.ts";
import { type Finished, podpath } from "./testing/podpath.ts";

interface Scenarios {
  readonly scenarios: readonly ScenarioResult[];
  readonly skipped: readonly unknown[];
}

/** The parts of a hop's JSON that are looked at here. */
interface Hop {
  readonly netns: string;
  readonly device: string;
  readonly diff: readonly { readonly kind: string }[];
  readonly vni?: number;
  readonly outer?: readonly Readonly<Record<string, unknown>>[];
}

async function lab(...args: string[]): Promise<Finished> {
  const finished = await podpath(["lab", ...args]);
  assert.equal(finished.code, 0, finished.stdout + finished.stderr);
  return finished;
}

const hopsOf = (result: ScenarioResult, leg: "request" | "reply"): readonly Hop[] =>
  result[leg].hops as unknown as readonly Hop[];

/** Where in a leg a change of one of these kinds is seen. */
const placesOf = (hops: readonly Hop[], ...kinds: string[]): string[] =>
  hops.filter(({ diff }) => diff.some(({ kind }) => kinds.includes(kind))).map(({ netns }) => netns);

inPrivateMachine(import.meta.url, () => {
  const folder = mkdtempSync(join(tmpdir(), "podpath-scenarios-"));
  before(async () => void (await lab("up")));
  after(async () => {
    await podpath(["lab", "down"]);
    rmSync(folder, { recursive: true });
  });

  test("six scenarios over three protocols, each hop as its walk says", async () => {
    const file = join(folder, "all.pcapng");
    const { scenarios, skipped } = JSON.parse((await lab("scenarios", "--json", "--pcapng", file)).stdout) as Scenarios;
    assert.deepEqual(skipped, []);
    assert.deepEqual(
      scenarios.map(({ number, protocol, ok }) => `${number} ${protocol} ${ok}`),
      [1, 2, 3, 4, 5, 6].flatMap((number) => ["tcp", "udp", "icmp"].map((protocol) => `${number} ${protocol} true`)),
    );
    for (const result of scenarios) {
      const [request, reply] = [hopsOf(result, "request"), hopsOf(result, "reply")];
      const title = `${result.number} ${result.protocol}`;
      switch (result.number) {
        case 1:
          assert.ok(
            [...request, ...reply].every(({ device }) => device === "lo"),
            title,
          );
          break;
        case 2:
          assert.ok(
            [...request, ...reply].every(({ device }) => device !== "cni0"),
            title,
          );
          break;
        case 4: {
          const [wrapped] = request.filter(({ netns, device }) => netns === "node1" && device === "eth0");
          const outer = Object.assign({}, ...(wrapped?.outer ?? [])) as Record<string, unknown>;
          assert.deepEqual(
            [wrapped?.vni, outer.destinationPort, outer.source, outer.destination],
            [1, 8472, "192.168.100.11", "192.168.100.12"],
            title,
          );
          break;
        }
        case 5:
          assert.deepEqual(placesOf(request, "dnat"), ["gateway"], title);
          assert.deepEqual(placesOf(reply, "un-dnat"), ["gateway"], title);
          break;
        case 6:
          assert.deepEqual(placesOf(request, "snat"), ["node1", "gateway"], title);
          assert.deepEqual(placesOf(reply, "un-snat"), ["gateway", "node1"], title);
          break;
      }
    }
    const hops = scenarios.reduce((sum, { request, reply }) => sum + request.hops.length + reply.hops.length, 0);
    const read = spawnSync("tcpdump", ["-nr", file], { encoding: "utf8" });
    if (read.error) return console.log(`# the pcapng was not read: ${read.error.message}`);
    // A wrapped packet has a second line, without the time.
    assert.equal(read.stdout.match(/^\d\d:\d\d:/gm)?.length, hops, read.stderr);
  });

  test("a network that is not as it should be fails the scenario, and says where", async () => {
    // Stopped, the agent cannot repair it at once.
    await lab("kill", "agent/node1", "-s", "STOP");
    await lab("exec", "node1", "--", "nft", "flush", "chain", "ip", "flannel-ipv4", "postrtg");
    const broken = await podpath(["lab", "scenarios", "--only", "6", "--protocol", "udp"]);
    assert.equal(broken.code, 1, broken.stdout);
    assert.match(broken.stdout, /6 .*udp: .*DIFFERENT/);
    assert.match(broken.stdout, /request hop \d+: /);
    await lab("kill", "agent/node1", "-s", "CONT");
    await lab("kill", "agent/node1", "--wait");
    const { stdout } = await lab("scenarios", "--only", "6", "--protocol", "udp");
    assert.match(stdout, /all 1 as expected/);
  });

  test("a connection that never opens is shown by its SYN, up to where that was lost", async () => {
    const drop =
      "add table ip wall; add chain ip wall c { type filter hook forward priority 0; }; add rule ip wall c drop";
    await lab("exec", "node2", "--", "nft", drop);
    const broken = await podpath(["lab", "scenarios", "--only", "4", "--protocol", "tcp"]);
    assert.equal(broken.code, 1, broken.stdout);
    assert.match(broken.stdout, /last seen at node2\/flannel\.1 rx, expected next at node2\/cni0 tx/);
    await lab("exec", "node2", "--", "nft", "delete table ip wall");
  });
});
