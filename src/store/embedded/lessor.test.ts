import assert from "node:assert/strict";
import { test } from "node:test";
import { Lessor } from "./lessor.ts";

test("Lessor starts with more leases than a function takes arguments", () => {
  const lessor = new Lessor(() => assert.fail("none is due"));
  const expiresAtMs = Date.now() + 3_600_000;
  for (let id = 1; id <= 200_000; id++) lessor.apply({ id: String(id), ttlSeconds: 3600, expiresAtMs });
  lessor.start();
  lessor.stop();
  assert.equal(lessor.ids().length, 200_000);
});
