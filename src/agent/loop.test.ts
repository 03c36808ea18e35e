import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ReconcileLoop } from "./loop.ts";

/** A pass that ends when the test says so, and an event for each that begins. */
function steppedPasses(): {
  pass: () => Promise<{ retryAtMs?: number }>;
  begun: () => Promise<void>;
  finish: (retryAtMs?: number) => void;
} {
  const begins: (() => void)[] = [];
  let unseen = 0;
  let finish: (result: { retryAtMs?: number }) => void = () => {};
  return {
    pass: () => {
      const waiting = begins.shift();
      if (waiting) waiting();
      else unseen++;
      return new Promise((resolve) => {
        finish = resolve;
      });
    },
    begun: () =>
      new Promise((resolve) => {
        if (unseen > 0) {
          unseen--;
          resolve();
        } else begins.push(resolve);
      }),
    finish: (retryAtMs) => finish(retryAtMs === undefined ? {} : { retryAtMs }),
  };
}

const FOREVER = 3_600_000;

describe("ReconcileLoop", () => {
  it("makes one pass of many triggers, and one more of those that come during it", async () => {
    const { pass, begun, finish } = steppedPasses();
    let passes = 0;
    const loop = new ReconcileLoop(() => {
      passes++;
      return pass();
    }, FOREVER);
    const controller = new AbortController();
    for (let i = 0; i < 5; i++) loop.trigger(5);
    const running = loop.run(controller.signal);
    await begun();
    for (let i = 0; i < 5; i++) loop.trigger();
    finish();
    await begun();
    controller.abort();
    finish();
    await running;
    assert.equal(passes, 2);
  });

  it("comes back when a pass asks for it, and after the resync period", async () => {
    const { pass, begun, finish } = steppedPasses();
    const loop = new ReconcileLoop(pass, 1);
    const controller = new AbortController();
    loop.trigger();
    const running = loop.run(controller.signal);
    await begun();
    finish(performance.now() + FOREVER);
    await begun();
    const retrying = new ReconcileLoop(pass, FOREVER);
    finish();
    controller.abort();
    await running;
    const again = new AbortController();
    retrying.trigger();
    const runningAgain = retrying.run(again.signal);
    await begun();
    finish(performance.now() + 1);
    await begun();
    again.abort();
    finish();
    await runningAgain;
  });

  it("comes back although the node's clock was set back", async (t) => {
    const { pass, begun, finish } = steppedPasses();
    const controller = new AbortController();
    const loop = new ReconcileLoop(pass, 1);
    loop.trigger();
    const running = loop.run(controller.signal);
    await begun();
    t.mock.method(Date, "now", () => 0);
    finish();
    await begun();
    controller.abort();
    finish();
    await running;
  });

  it("ends with the signal while it waits", async () => {
    const controller = new AbortController();
    const running = new ReconcileLoop(async () => ({}), FOREVER).run(controller.signal);
    controller.abort();
    await running;
  });
});
