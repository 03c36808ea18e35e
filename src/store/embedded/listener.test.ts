import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { ConnectionInjector } from "@grpc/grpc-js";
import { listen } from "./listener.ts";

test("listen() gives a Unix socket to its owner alone, from its first moment, and survives a failed accept()", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "podpath-listener-"));
  const path = join(folder, "store.sock");
  const modes: number[] = [];
  let server: Server | undefined;
  // Server.listen() binds before it returns.
  const original = Server.prototype.listen;
  t.mock.method(Server.prototype, "listen", function (this: Server, ...args: unknown[]): Server {
    Reflect.apply(original, this, args);
    modes.push(statSync(path).mode & 0o777);
    server = this;
    return this;
  });
  const umask = process.umask(0);
  try {
    const injector = { injectConnection: () => {} } as unknown as ConnectionInjector;
    const listener = await listen(`unix:${path}`, injector);
    assert.deepEqual(modes, [0o600]);
    assert.equal(process.umask(), 0);
    // Without a listener for it, this would be the process's end.
    assert.ok(server?.emit("error", Object.assign(new Error("accept EMFILE"), { code: "EMFILE" })));
    await listener.close();
  } finally {
    process.umask(umask);
    rmSync(folder, { recursive: true });
  }
});
