import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster, type ClusterParts } from "./cluster.ts";

test("kill() that waits gives up on a process that does not come back, and ends with one that does", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let ready = (): void => {};
  const storeDaemon = {
    name: "store",
    kill: () => {},
    nextReady: () =>
      new Promise<void>((resolve) => {
        ready = resolve;
      }),
  };
  const cluster = new Cluster({ agents: [], pods: [], storeDaemon } as unknown as ClusterParts);
  const stopped = assert.rejects(cluster.kill("store", "SIGSTOP", true), {
    message: "Cannot see store ready again after SIGSTOP: it did not happen in 60 s",
  });
  t.mock.timers.tick(60_000);
  await stopped;
  const killed = cluster.kill("store", "SIGKILL", true);
  ready();
  await killed;
  await cluster.kill("store", "SIGSTOP", false);
});
