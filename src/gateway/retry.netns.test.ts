import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { pino } from "pino";
import { createUnnamedNetNs, type Nft } from "../kernel/index.ts";
import type { Store } from "../store/index.ts";
import { Gateway } from "./index.ts";
import { OPTIONS } from "./testing/example.ts";

const skip = process.getuid?.() === 0 ? false : "needs root, to make network namespaces";

test("rules that cannot be written before the store has answered are tried again", { skip }, async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  using ns = createUnnamedNetNs();
  let [writes, isRefusing] = [0, true];
  const nft = {
    apply: () => {
      writes++;
      if (isRefusing) throw new Error("busy");
    },
    list: () => {
      throw Object.assign(new Error("no such table"), { code: "ENOENT" });
    },
    watch: () => ({ [Symbol.dispose]: () => {} }),
  };
  const stop = new AbortController();
  const next = async (): Promise<IteratorReturnResult<undefined>> => {
    await once(stop.signal, "abort");
    return { done: true, value: undefined };
  };
  const silentStore = { watch: () => ({ [Symbol.asyncIterator]: () => ({ next }) }) } as unknown as Pick<
    Store,
    "watch"
  >;
  const log = pino({ level: "silent" });
  const running = new Gateway({ ...OPTIONS, nft: nft as unknown as Nft, ns, store: silentStore, log }).run(stop.signal);
  assert.equal(writes, 1);
  isRefusing = false;
  t.mock.timers.tick(1000);
  assert.equal(writes, 2);
  t.mock.timers.tick(100_000);
  assert.equal(writes, 2);
  stop.abort();
  await running;
});
