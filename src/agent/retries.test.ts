import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Retries } from "./retries.ts";

describe("Retries", () => {
  it("waits twice as long after each failure, up to the longest", () => {
    const retries = new Retries({ firstMs: 100, lastMs: 350 });
    assert.equal(retries.isWaiting("a", 0), false);
    for (const delay of [100, 200, 350, 350]) {
      retries.failed("a", 1000);
      assert.equal(retries.isWaiting("a", 1000 + delay - 1), true);
      assert.equal(retries.isWaiting("a", 1000 + delay), false);
    }
  });

  it("keeps one thing's failures apart from another's, and forgets what went well", () => {
    const retries = new Retries({ firstMs: 100, lastMs: 1000 });
    assert.equal(retries.nextAt(), undefined);
    retries.failed("a", 0);
    retries.failed("a", 0);
    retries.failed("b", 0);
    assert.equal(retries.nextAt(), 100);
    retries.keepOnly(new Set(["a"]));
    assert.deepEqual([retries.isWaiting("b", 0), retries.nextAt()], [false, 200]);
    assert.equal(retries.failed("b", 0), 1);
  });
});
