import assert from "node:assert/strict";
import { test } from "node:test";
import { splitCommand } from "./lab-exec.ts";

test("splitCommand: options before the command are ours, those after its name are its own", () => {
  assert.deepEqual(splitCommand(["ls", "-l", "--", "-c"]), { command: ["ls", "-l", "--", "-c"] });
  assert.deepEqual(splitCommand(["--", "ls", "-l"]), { command: ["ls", "-l"] });
  assert.deepEqual(splitCommand(["-c", "c1", "--", "sh", "-c", "id"]), {
    container: "c1",
    command: ["sh", "-c", "id"],
  });
  assert.deepEqual(splitCommand(["--name", "two", "-c", "c1", "id"]), {
    name: "two",
    container: "c1",
    command: ["id"],
  });
  assert.deepEqual(splitCommand([]), { command: [] });
});
