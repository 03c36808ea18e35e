import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { pino } from "pino";
import { formatObject } from "../formats/kubernetes/index.ts";
import { parseRuleset } from "../formats/nftables/index.ts";
import { createUnnamedNetNs, inNs, Nft } from "../kernel/index.ts";
import { EtcdError, openEtcdStore, startEmbeddedServer } from "../store/index.ts";
import { GATEWAY_TABLE, Gateway } from "./index.ts";
import { OPTIONS, SERVICES, SLICES } from "./testing/example.ts";

const LOG = pino({ level: "silent" });
const skip = whyNot();

/** Why this test cannot run here, or false. */
function whyNot(): string | false {
  if (process.getuid?.() !== 0) return "needs root, to make network namespaces";
  if (spawnSync("nft", ["--version"]).status !== 0) return "nft is not installed (apt-get install nftables)";
  return false;
}

/** Asks until the client has connected again, of which nothing tells. */
async function whenBack(request: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await request();
      return;
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      await setTimeout(20);
    }
  }
}

test("a store that goes away changes nothing, drift is repaired meanwhile, and what was missed is caught up", {
  skip,
  timeout: 240_000,
}, async () => {
  const directory = await mkdtemp(join(tmpdir(), "podpath-gateway-"));
  const where = { dataDir: join(directory, "data"), listen: [`unix:${join(directory, "store.sock")}`] };
  const stop = new AbortController();
  using ns = createUnnamedNetNs();
  using nft = Nft.open(ns);
  using observer = Nft.open(ns);
  const changes = new EventTarget();
  using _observed = observer.watch(() => changes.dispatchEvent(new Event("change")), {
    family: "ip",
    table: GATEWAY_TABLE,
  });
  const filled = (): string[] => {
    const { sets } = parseRuleset(observer.listRuleset());
    return sets.filter(({ elements }) => elements.length > 0).map(({ name }) => name);
  };
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await once(changes, "change");
  };
  let server = await startEmbeddedServer(where);
  const store = await openEtcdStore({ endpoints: server.addresses });
  const gateway = new Gateway({ ...OPTIONS, nft, ns, store, log: LOG });
  const running = gateway.run(stop.signal);
  try {
    for (const object of [...SERVICES, ...SLICES]) {
      const { kind, metadata } = object;
      const key = `/podpath/services/${kind === "Service" ? "specs" : "endpointslices"}/${metadata.namespace}/${metadata.name}`;
      await store.put(key, formatObject(object));
    }
    await until(() => filled().includes("no-endpoint-services") && filled().includes("service-endpoints"));
    const before = filled();
    await server.close();
    inNs(ns, () => spawnSync("nft", ["flush", "ruleset"]));
    await until(() => filled().length > 0);
    assert.deepEqual(filled(), before);
    server = await startEmbeddedServer(where);
    await whenBack(() => store.deletePrefix("/podpath/services/specs/"));
    await until(() => filled().length === 0);
    assert.equal(gateway.status().services, 0);
    assert.ok(parseRuleset(observer.listRuleset()).chains.length > 0);
  } finally {
    stop.abort();
    await running;
    await store[Symbol.asyncDispose]();
    await server.close();
    await rm(directory, { recursive: true });
  }
});
