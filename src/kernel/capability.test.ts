import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCapability } from "./capability.ts";

test("hasCapability() reads the effective set, and one bit of it", () => {
  const status = (effective: string): string =>
    `Name:\tnode\nCapPrm:\t000001ffffffffff\nCapEff:\t${effective}\nCapBnd:\t000001ffffffffff\n`;
  assert.equal(hasCapability("CAP_NET_ADMIN", status("0000000000001000")), true);
  assert.equal(hasCapability("CAP_SYS_ADMIN", status("0000000000001000")), false);
  assert.equal(hasCapability("CAP_NET_ADMIN", status("000001ffffffefff")), false);
  assert.equal(hasCapability("CAP_SYS_ADMIN", status("000001ffffffefff")), true);
  assert.equal(hasCapability("CAP_NET_ADMIN", "Name:\tnode\n"), false);
});
