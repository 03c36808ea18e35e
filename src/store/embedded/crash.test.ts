import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type EmbeddedServer, EtcdError, isUnavailable, openEtcdStore, startEmbeddedServer } from "../index.ts";
import { startEmbeddedProcess } from "../testing/embedded.ts";

const ROUNDS = 3;

test("kill -9 in the middle of writing loses nothing that was answered, and no revision", {
  timeout: 120_000,
}, async () => {
  // Small wals, so that it is killed in the middle of snapshots too.
  await using server = await startEmbeddedProcess({ MAX_WAL_BYTES: "40000" });
  const answered = new Map<string, string>();
  let newest = 0n;
  let onAnswer = (): void => {};
  for (let round = 0; round < ROUNDS; round++) {
    const store = await openEtcdStore({ endpoints: server.endpoints });
    const lease = await store.grant(1000);
    // Killed when it has answered a number of writes that is another one each time.
    const target = newest + BigInt(100 + 71 * round);
    const reached = new Promise<void>((resolve) => {
      onAnswer = () => {
        if (newest >= target) resolve();
      };
    });
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; ; i++) {
        const [key, value] = [`/crash/${writer}/${i % 50}`, `${round}-${i}-${"x".repeat(i % 300)}`];
        try {
          const revision = await store.put(key, value, { lease });
          answered.set(key, value);
          if (revision > newest) newest = revision;
          onAnswer();
        } catch (error) {
          if (isUnavailable(error)) return { key, value };
          throw error;
        }
      }
    });
    await reached;
    await server.restart();
    // A write that got no answer may have been done or not; nothing else may have been.
    const unanswered = new Map((await Promise.all(writers)).map(({ key, value }) => [key, value]));
    const after = await openEtcdStore({ endpoints: server.endpoints });
    const { kvs, revision } = await after.list("/crash/");
    assert.ok(revision >= newest, `${revision} after ${newest}`);
    const found = new Map(kvs.map(({ key, valueText }) => [key, valueText]));
    for (const [key, value] of answered)
      assert.ok([value, unanswered.get(key)].includes(found.get(key)), `${key} is ${found.get(key)}, was ${value}`);
    for (const [key, value] of found) answered.set(key, value);
    newest = revision;
    assert.equal((await after.timeToLive(lease))?.grantedTtlSeconds, 1000);
    for (const open of [store, after]) await open[Symbol.asyncDispose]();
  }
  assert.ok(answered.size > 100);
});

test("leases, compaction and who the store is are the same after a restart", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "podpath-store-"));
  try {
    const listen = [`unix:${dataDir}/socket`];
    const first = await startEmbeddedServer({ dataDir, listen, historyChanges: 20, maxWalBytes: 3000 });
    const store = await openEtcdStore({ endpoints: first.addresses });
    const lease = await store.grant(300);
    await store.put("/a", "1", { lease });
    for (let i = 0; i < 100; i++) await store.put("/b", String(i));
    await store.delete("/b");
    const before = await store.list("/");
    await first.close();
    await using second = await startEmbeddedServer({ dataDir, listen });
    const again = await openEtcdStore({ endpoints: second.addresses });
    assert.deepEqual(await again.list("/"), before);
    const left = await again.timeToLive(lease);
    assert.equal(left?.grantedTtlSeconds, 300);
    assert.ok(left.ttlSeconds <= 300 && left.ttlSeconds > 200);
    await again.revoke(lease);
    assert.equal(await again.get("/a"), undefined);
    for (const open of [store, again]) await open[Symbol.asyncDispose]();
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});

test("a data directory, an address or a path that cannot be used is told in one line", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "podpath-store-"));
  try {
    writeFileSync(join(dataDir, "file"), "");
    await using first = await startEmbeddedServer({ dataDir: join(dataDir, "data"), listen: ["127.0.0.1:0"] });
    const taken = first.addresses[0]?.replace("http://", "") ?? "";
    const other = join(dataDir, "other");
    const cases: [string, string[], RegExp][] = [
      [join(dataDir, "data"), ["127.0.0.1:0"], /Cannot lock .*: another store server holds it; .*stop it/],
      [join(dataDir, "file"), ["127.0.0.1:0"], /file/],
      [other, [], /no address/],
      [other, ["nonsense"], /"nonsense" is no address to listen on; write HOST:PORT or unix:\/PATH/],
      [other, ["127.0.0.1:70000"], /no address to listen on/],
      [other, ["unix:/nonexistent/socket"], /there is no directory \/nonexistent; make it/],
      [other, [taken], /cannot listen on .*EADDRINUSE/],
      [other, ["127.0.0.1:0", `unix:${join(dataDir, "file")}`], /is no socket; choose another path/],
    ];
    for (const [directory, listen, why] of cases)
      await assert.rejects(startEmbeddedServer({ dataDir: directory, listen }), (error) => {
        assert.ok(error instanceof EtcdError);
        assert.match(error.message, why);
        assert.match(error.message, /^Cannot start the store in [^\n]*$/);
        return true;
      });
    // What failed has let go of everything.
    await using second = await startEmbeddedServer({ dataDir: other, listen: ["127.0.0.1:0"] });
    assert.equal(second.addresses.length, 1);
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});

test("of servers that start at once on one data directory, one serves and the others are refused", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "podpath-store-"));
  // So far behind each other, in turns of the event loop, that every step of one falls between any two of another.
  const start = async (turns: number): Promise<EmbeddedServer> => {
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    return await startEmbeddedServer({ dataDir, listen: ["127.0.0.1:0"] });
  };
  try {
    const started = await Promise.allSettled(Array.from({ length: 20 }, (_, turns) => start(turns)));
    for (const each of started) if (each.status === "fulfilled") await each.value.close();
    assert.equal(started.filter(({ status }) => status === "fulfilled").length, 1);
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});
