import assert from "node:assert/strict";
import { test } from "node:test";
import { stateDir, stateRoot } from "./state-dir.ts";

test("stateRoot: what the environment says goes first", () => {
  assert.equal(stateRoot({ PODPATH_STATE: "/tmp/x", XDG_RUNTIME_DIR: "/run/user/1" }), "/tmp/x");
});

test("stateDir takes no name that would lead out of its folder", () => {
  for (const name of ["", "..", ".", "a/b", "-a", "A", "a b", "a\0", "a".repeat(33)])
    assert.throws(() => stateDir(name, "/run/podpath"), { message: /Cannot call a lab/ }, name);
  assert.equal(stateDir("lab-2", "/run/podpath").controlSocket, "/run/podpath/lab-2/control.sock");
});

test("stateDir says so when the socket's path would be too long", () => {
  assert.throws(() => stateDir("lab", `/${"x".repeat(100)}`), { message: /at most 107 bytes.*PODPATH_STATE/ });
});
