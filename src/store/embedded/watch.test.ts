// What the wire has and the Store interface does not ask for: filters, previous values, progress, several watches.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Connection } from "../etcd/connection.ts";
import { services } from "../etcdserverpb/services.ts";
import type { Sent, WatchCreateRequest, WatchResponse } from "../etcdserverpb/types.ts";
import { type EmbeddedServer, openEtcdStore, type Store, startEmbeddedServer } from "../index.ts";

let directory: string;
let server: EmbeddedServer;
let store: Store;
let connection: Connection;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "podpath-watch-"));
  server = await startEmbeddedServer({
    dataDir: join(directory, "data"),
    listen: [`unix:${directory}/socket`],
    historyChanges: 3000,
    progressIntervalMs: 100,
  });
  store = await openEtcdStore({ endpoints: server.addresses });
  connection = new Connection({ endpoints: server.addresses });
});
after(async () => {
  connection.close();
  await store[Symbol.asyncDispose]();
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

/** A stream to which requests are sent, and from which responses are taken one by one. */
async function openStream(): Promise<{
  send: (request: object) => void;
  create: (request: Sent<WatchCreateRequest>) => void;
  next: () => Promise<WatchResponse>;
  close: () => void;
}> {
  const { call } = await connection.stream<object, WatchResponse>(services.Watch.Watch as never, "watch");
  const responses = (call as AsyncIterable<WatchResponse>)[Symbol.asyncIterator]();
  return {
    send: (request) => void call.write(request),
    create: (request) => void call.write({ create_request: request }),
    next: async () => {
      const { value, done } = await responses.next();
      assert.ok(!done, "the stream ended");
      return value;
    },
    close: () => call.cancel(),
  };
}

const key = (text: string): Buffer => Buffer.from(text);
const told = ({ events }: WatchResponse): string[] =>
  events.map(({ type, kv, prev_kv }) => `${type} ${kv.key} ${kv.value}${prev_kv ? ` was ${prev_kv.value}` : ""}`);

test("a stream holds several watches, each with its own filters, range and past", async () => {
  const revision = await store.put("/s/a", "1");
  await store.put("/s/a", "2");
  await store.delete("/s/a");
  const { create, send, next, close } = await openStream();
  const range = { key: key("/s/"), range_end: key("/s0"), start_revision: String(revision) };
  create({ ...range, filters: [1], prev_kv: true });
  assert.deepEqual([(await next()).created, told(await next())], [true, ["0 /s/a 1", "0 /s/a 2 was 1"]]);
  create({ ...range, filters: [0], watch_id: "77" });
  const created = await next();
  assert.deepEqual([created.created, created.watch_id, told(await next())], [true, "77", ["1 /s/a "]]);
  create({ ...range, watch_id: "77" });
  const refused = await next();
  assert.deepEqual([refused.created, refused.canceled, refused.watch_id], [true, true, "-1"]);
  assert.match(refused.cancel_reason, /duplicate watch ID/);
  send({ cancel_request: { watch_id: "77" } });
  const cancelled = await next();
  assert.deepEqual([cancelled.canceled, cancelled.watch_id], [true, "77"]);
  await store.delete("/s/none");
  await store.put("/s/b", "3");
  const last = await next();
  assert.deepEqual([last.watch_id, told(last)], ["0", ["0 /s/b 3"]]);
  close();
});

test("a watch of the future begins there", async () => {
  const revision = await store.put("/f", "1");
  const { create, next, close } = await openStream();
  create({ key: key("/f"), start_revision: String(revision + 2n) });
  assert.ok((await next()).created);
  await store.put("/f", "2");
  await store.put("/f", "3");
  assert.deepEqual(told(await next()), ["0 /f 3"]);
  close();
});

test("progress is told when asked for, after what has happened, and by itself to who wants it", async () => {
  const { create, send, next, close } = await openStream();
  create({ key: key("/p") });
  assert.ok((await next()).created);
  const revision = await store.put("/p", "1");
  send({ progress_request: {} });
  assert.deepEqual(told(await next()), ["0 /p 1"]);
  const progress = await next();
  assert.deepEqual([progress.watch_id, progress.header.revision, progress.events], ["-1", String(revision), []]);
  create({ key: key("/quiet"), progress_notify: true });
  const { watch_id } = await next();
  const notice = await next();
  assert.deepEqual([notice.watch_id, notice.events.length, notice.created], [watch_id, 0, false]);
  close();
});

test("a watch from before the compaction is cancelled with the revision to go on from", async () => {
  const revision = await store.put("/c", "1");
  await store.put("/c", "2");
  await connection.call(
    services.KV.Compact as never,
    { revision: String(revision + 1n) },
    {
      operation: "compact",
      isRepeatable: false,
    },
  );
  const { create, next, close } = await openStream();
  create({ key: key("/c"), start_revision: String(revision) });
  assert.ok((await next()).created);
  const cancelled = await next();
  assert.deepEqual([cancelled.canceled, cancelled.compact_revision], [true, String(revision + 1n)]);
  create({ key: key("/c"), start_revision: cancelled.compact_revision });
  assert.ok((await next()).created);
  assert.deepEqual(told(await next()), ["0 /c 2"]);
  close();
});

test("a client that does not read costs no memory: it gets all in order later, or hears of the compaction", async () => {
  const { create, next, close } = await openStream();
  create({ key: key("/slow/"), range_end: key("/slow0") });
  assert.ok((await next()).created);
  const value = "x".repeat(2000);
  const count = 2500;
  await Promise.all(Array.from({ length: count }, (_, i) => store.put(`/slow/${i}`, value)));
  let seen = 0;
  let last = 0n;
  while (seen < count) {
    for (const { kv } of (await next()).events) {
      assert.ok(BigInt(kv.mod_revision) > last);
      last = BigInt(kv.mod_revision);
      seen++;
    }
  }
  assert.equal(seen, count);
  close();
});

test("history is bounded: old revisions are compacted without anybody asking", async () => {
  const first = await store.put("/many", "0");
  for (let i = 0; i < 70; i++) await Promise.all(Array.from({ length: 100 }, () => store.put("/many", String(i))));
  const { create, next, close } = await openStream();
  create({ key: key("/many"), start_revision: String(first) });
  assert.ok((await next()).created);
  assert.ok(Number((await next()).compact_revision) > Number(first));
  close();
});
