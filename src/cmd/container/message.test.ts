import assert from "node:assert/strict";
import { test } from "node:test";
import { messageId, pingMessage, pongTo } from "./message.ts";

test("a pong is as long as its ping, and both tell the id", () => {
  const ping = pingMessage("4f1c", 64);
  assert.equal(ping.length, 64);
  const pong = pongTo(ping);
  assert.ok(pong);
  assert.equal(pong.length, 64);
  assert.ok(pong.startsWith("podpath-pong 4f1c "));
  assert.deepEqual([messageId(ping), messageId(pong)], ["4f1c", "4f1c"]);
});

test("what is no ping has no pong", () => {
  for (const text of ["", "podpath-pong 1", "podpath-pingx", "GET / HTTP/1.1"]) assert.equal(pongTo(text), undefined);
});
