import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { MethodDefinition } from "@grpc/grpc-js";
import { Connection } from "../etcd/connection.ts";
import { services } from "../etcdserverpb/services.ts";
import type { Int64 } from "../etcdserverpb/types.ts";
import { openEtcdStore, startEmbeddedServer } from "../index.ts";

test("LeaseKeepAlive answers all that was asked, in order, though the client has closed its side", async () => {
  const directory = mkdtempSync(join(tmpdir(), "podpath-keep-alive-"));
  const server = await startEmbeddedServer({ dataDir: join(directory, "data"), listen: [`unix:${directory}/socket`] });
  const store = await openEtcdStore({ endpoints: server.addresses });
  const connection = new Connection({ endpoints: server.addresses });
  try {
    const lease = String(await store.grant(60));
    const asked = [lease, "4711", lease];
    const method = services.Lease.LeaseKeepAlive as unknown as MethodDefinition<never, unknown>;
    const { call } = await connection.stream<{ ID: Int64 }, { ID: Int64; TTL: Int64 }>(method, "keep a lease alive");
    for (const ID of asked) call.write({ ID });
    call.end();
    const answers: [Int64, Int64][] = [];
    for await (const { ID, TTL } of call as AsyncIterable<{ ID: Int64; TTL: Int64 }>) answers.push([ID, TTL]);
    assert.deepEqual(answers, [
      [lease, "60"],
      ["4711", "0"],
      [lease, "60"],
    ]);
  } finally {
    connection.close();
    await store[Symbol.asyncDispose]();
    await server.close();
    rmSync(directory, { recursive: true });
  }
});
