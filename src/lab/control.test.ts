import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { serveControl } from "./control.ts";

test("the control socket is its owner's alone from its first moment, and survives a failed accept()", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "podpath-control-"));
  const path = join(folder, "control.sock");
  const modes: number[] = [];
  // Server.listen() binds before it returns.
  const original = Server.prototype.listen;
  t.mock.method(Server.prototype, "listen", function (this: Server, ...args: unknown[]): Server {
    Reflect.apply(original, this, args);
    modes.push(statSync(path).mode & 0o777);
    return this;
  });
  const umask = process.umask(0);
  try {
    const server = await serveControl(path, async () => ({}));
    assert.deepEqual(modes, [0o600]);
    assert.equal(process.umask(), 0);
    // Without a listener for it, this would be the process's end.
    assert.ok(server.emit("error", Object.assign(new Error("accept EMFILE"), { code: "EMFILE" })));
    await new Promise((resolve) => server.close(resolve));
    t.mock.restoreAll();
    await assert.rejects(
      serveControl(join(folder, "missing", "control.sock"), async () => ({})),
      /listen .*missing/,
    );
  } finally {
    process.umask(umask);
    rmSync(folder, { recursive: true });
  }
});
