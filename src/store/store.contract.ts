// What every store must do, whatever it is made of. Run by embedded/ and etcd/.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  EtcdError,
  isNotFound,
  isOutOfRange,
  isUnavailable,
  openEtcdStore,
  type Store,
  type WatchMessage,
} from "./index.ts";
import { compact } from "./testing/compact.ts";
import type { ContractServer } from "./testing/contract-server.ts";

export function storeContract(name: string, start: () => Promise<ContractServer>, skip: string | false = false): void {
  describe(`store contract: ${name}`, { skip, timeout: 120_000 }, () => {
    let server: ContractServer;
    let store: Store;
    before(async () => {
      server = await start();
      store = await openEtcdStore({ endpoints: server.endpoints });
    });
    after(async () => {
      await store?.[Symbol.asyncDispose]();
      await server?.[Symbol.asyncDispose]();
    });

    test("a key has its value, its revisions and its version", async () => {
      assert.equal(await store.get("/kv/none"), undefined);
      const first = await store.put("/kv/a", "1");
      const second = await store.put("/kv/a", "zwei ü 😀");
      assert.equal(second, first + 1n);
      const kv = await store.get("/kv/a");
      assert.deepEqual(kv, {
        key: "/kv/a",
        value: Buffer.from("zwei ü 😀"),
        valueText: "zwei ü 😀",
        createRevision: first,
        modRevision: second,
        version: 2n,
        lease: 0n,
      });
      assert.equal(await store.delete("/kv/a"), true);
      assert.equal(await store.delete("/kv/a"), false);
      const third = await store.put("/kv/a", "");
      assert.equal((await store.get("/kv/a"))?.createRevision, third);
      assert.equal((await store.get("/kv/a"))?.version, 1n);
    });

    test("list() gives the keys of a prefix, in order, and nothing else", async () => {
      for (const key of ["/l/b", "/l/a", "/l/", "/l/a/b", "/l0", "/l", "/l/ÿ"]) await store.put(key, key);
      const { kvs } = await store.list("/l/");
      assert.deepEqual(
        kvs.map(({ key }) => key),
        ["/l/", "/l/a", "/l/a/b", "/l/b", "/l/ÿ"],
      );
      assert.ok((await store.list("")).kvs.length >= 7);
      assert.equal(await store.deletePrefix("/l/"), 5);
      assert.deepEqual((await store.list("/l/")).kvs, []);
      assert.ok(await store.get("/l0"));
    });

    test("of many that create one key at once, one succeeds, and all others learn of it", async () => {
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          store.txn({
            compare: [{ key: "/race", target: "version", value: 0n }],
            success: [{ op: "put", key: "/race", value: String(i) }],
            failure: [{ op: "get", key: "/race" }],
          }),
        ),
      );
      const winners = results.flatMap(({ succeeded }, i) => (succeeded ? [String(i)] : []));
      assert.equal(winners.length, 1);
      for (const { succeeded, responses } of results)
        if (!succeeded) assert.equal(responses[0]?.kvs[0]?.valueText, winners[0]);
    });

    test("txn() compares versions, revisions, values and leases", async () => {
      const revision = await store.put("/cmp", "b");
      const holds = async (compare: Parameters<Store["txn"]>[0]["compare"][number]): Promise<boolean> =>
        (await store.txn({ compare: [compare], success: [] })).succeeded;
      assert.ok(await holds({ key: "/cmp", target: "modRevision", value: revision }));
      assert.ok(await holds({ key: "/cmp", target: "modRevision", operator: ">", value: revision - 1n }));
      assert.ok(!(await holds({ key: "/cmp", target: "createRevision", operator: "!=", value: revision })));
      assert.ok(await holds({ key: "/cmp", target: "value", operator: "<", value: "c" }));
      assert.ok(!(await holds({ key: "/cmp", target: "value", value: "a" })));
      assert.ok(await holds({ key: "/cmp", target: "lease", value: 0n }));
      assert.ok(!(await holds({ key: "/cmp-none", target: "value", value: "" })));
      assert.ok(await holds({ key: "/cmp-none", target: "modRevision", value: 0n }));
    });

    test("txn() does all or nothing, in one revision", async () => {
      await store.put("/t/old", "1");
      const { revision, responses } = await store.txn({
        compare: [],
        success: [
          { op: "put", key: "/t/a", value: "a" },
          { op: "put", key: "/t/b", value: "b" },
          { op: "delete", key: "/t/old" },
          { op: "list", prefix: "/t/" },
        ],
      });
      assert.equal(responses[2]?.deleted, 1);
      assert.deepEqual(
        responses[3]?.kvs.map(({ key, modRevision }) => [key, modRevision]),
        [
          ["/t/a", revision],
          ["/t/b", revision],
        ],
      );
      const twice = { op: "put", key: "/t/c", value: "" } as const;
      await assert.rejects(store.txn({ compare: [], success: [twice, twice] }), EtcdError);
      assert.equal(await store.get("/t/c"), undefined);
    });

    test("a lease takes its keys with it when it is revoked, and can be kept alive", async () => {
      const lease = await store.grant(1000);
      await store.put("/lease/a", "x", { lease });
      assert.equal((await store.get("/lease/a"))?.lease, lease);
      const left = await store.timeToLive(lease);
      assert.equal(left?.grantedTtlSeconds, 1000);
      assert.ok(left.ttlSeconds > 900 && left.ttlSeconds <= 1000);
      assert.equal(await store.keepAlive(lease), 1000);
      await store.revoke(lease);
      await store.revoke(lease);
      assert.equal(await store.get("/lease/a"), undefined);
      assert.equal(await store.timeToLive(lease), undefined);
      assert.equal(await store.keepAlive(lease), undefined);
      await assert.rejects(store.put("/lease/b", "x", { lease }), isNotFound);
    });

    test("a key that is put again without its lease outlives the lease", async () => {
      const lease = await store.grant(1000);
      await store.put("/outlive", "x", { lease });
      await store.put("/outlive", "y");
      await store.revoke(lease);
      assert.equal((await store.get("/outlive"))?.valueText, "y");
    });

    test("a lease that is not renewed expires, and a watch sees its key go", async () => {
      const stop = new AbortController();
      const lease = await store.grant(2);
      await store.put("/expire/a", "x", { lease });
      const seen: string[] = [];
      for await (const message of store.watch("/expire/", stop.signal)) {
        if (message.type === "snapshot") seen.push(...message.kvs.map(({ key }) => key));
        else {
          seen.push(...message.events.map(({ type, kv }) => `${type} ${kv.key}`));
          stop.abort();
        }
      }
      assert.deepEqual(seen, ["/expire/a", "delete /expire/a"]);
    });

    test("watch() gives a snapshot, then every change once and in order", async () => {
      await store.put("/w/before", "0");
      const { seen, done } = record(store, "/w/", "/w/last");
      await seen.first;
      for (let i = 0; i < 50; i++) await store.put(`/w/${i % 5}`, String(i));
      await store.deletePrefix("/w/b");
      await store.put("/elsewhere", "");
      await store.put("/w/last", "");
      const messages = await done;
      assert.deepEqual(messages[0]?.type === "snapshot" && messages[0].kvs.map(({ key }) => key), ["/w/before"]);
      const events = messages.flatMap((message) => (message.type === "events" ? message.events : []));
      assert.deepEqual(
        events.map(({ type, kv }) => `${type} ${kv.key} ${kv.valueText}`),
        [...Array.from({ length: 50 }, (_, i) => `put /w/${i % 5} ${i}`), "delete /w/before ", "put /w/last "],
      );
      const revisions = events.map(({ kv }) => kv.modRevision);
      assert.deepEqual(
        revisions,
        [...revisions].sort((a, b) => Number(a - b)),
      );
    });

    test("watch() goes on over a restart of the store without a gap; what was written is there", async () => {
      const lease = await store.grant(500);
      await store.put("/r/leased", "x", { lease });
      const { seen, done } = record(store, "/r/", "/r/last");
      await seen.first;
      await store.put("/r/a", "1");
      const before = await store.put("/r/b", "2");
      await server.restart();
      const other = await patient(() => store.put("/r/c", "3"));
      assert.equal(other, before + 1n);
      await store.put("/r/last", "");
      const events = (await done).flatMap((message) => (message.type === "events" ? message.events : []));
      assert.deepEqual(
        events.map(({ kv }) => kv.key),
        ["/r/a", "/r/b", "/r/c", "/r/last"],
      );
      assert.equal((await store.get("/r/leased"))?.lease, lease);
      assert.equal((await store.timeToLive(lease))?.grantedTtlSeconds, 500);
    });

    test("watch() gives a new snapshot when what it missed has been compacted", async () => {
      const { seen, done } = record(store, "/c/", "/c/last");
      await seen.first;
      await store.put("/c/a", "1");
      await seen.event;
      await server.stop();
      await server.restart();
      // The watch comes back by itself, but perhaps not before this: both ways lead to the whole truth.
      const revision = await patient(() => store.put("/c/b", "2"));
      await compact(server, revision);
      await store.put("/c/last", "");
      const messages = await done;
      const state = new Map<string, string>();
      for (const message of messages)
        if (message.type === "snapshot") {
          state.clear();
          for (const kv of message.kvs) state.set(kv.key, kv.valueText);
        } else for (const { kv } of message.events) state.set(kv.key, kv.valueText);
      assert.deepEqual([...state].sort(), [
        ["/c/a", "1"],
        ["/c/b", "2"],
        ["/c/last", ""],
      ]);
    });

    test("a compacted revision, one too far ahead and an unknown lease have predicates", async () => {
      const revision = await store.put("/compact", "1");
      await compact(server, revision);
      await assert.rejects(compact(server, revision), isOutOfRange);
      await assert.rejects(compact(server, revision + 1000n), isOutOfRange);
    });

    test("a store that is away gives an error that says what, where and what to do; then goes on", async () => {
      await store.put("/away", "1");
      await server.stop();
      const endpoint = server.endpoints[0] ?? "";
      await assert.rejects(store.get("/away"), (error) => {
        assert.ok(isUnavailable(error));
        assert.ok(error.message.startsWith(`Cannot get /away at ${endpoint}: `), error.message);
        assert.match(error.message, /check that/);
        return true;
      });
      assert.equal(store.state().connected, false);
      assert.ok(store.state().lastError);
      await server.restart();
      assert.equal((await patient(() => store.get("/away")))?.valueText, "1");
      const { connected, lastError, heardAtMs = 0, counts } = store.state();
      assert.deepEqual([connected, lastError], [true, undefined]);
      assert.ok((counts?.reconnects ?? 0) > 0);
      assert.ok(Date.now() - heardAtMs < 60_000);
    });

    test("with several endpoints, one that works is found", async () => {
      const endpoints = ["http://127.0.0.1:1", "unix:///nonexistent/podpath", ...server.endpoints];
      const other = await openEtcdStore({ endpoints });
      try {
        await other.put("/failover", "1");
        assert.equal((await other.get("/failover"))?.valueText, "1");
        assert.deepEqual([other.state().connected, other.state().lastError], [true, undefined]);
      } finally {
        await other[Symbol.asyncDispose]();
      }
      await assert.rejects(other.get("/failover"), /closed/);
    });

    test("a watch ends when its signal says so, and when the store is closed", async () => {
      await drain(store, AbortSignal.abort());
      const other = await openEtcdStore({ endpoints: server.endpoints });
      const ended = drain(other, new AbortController().signal, () => void other[Symbol.asyncDispose]());
      assert.equal(await ended, 1);
    });
  });
}

async function drain(store: Store, signal: AbortSignal, onMessage = (): void => {}): Promise<number> {
  let count = 0;
  for await (const _ of store.watch("/drain/", signal)) {
    count++;
    onMessage();
  }
  return count;
}

/** Watches until `last` is put. `seen.first`, `seen.event`: the snapshot, an event has come. */
function record(
  store: Store,
  prefix: string,
  last: string,
): { seen: { first: Promise<void>; event: Promise<void> }; done: Promise<WatchMessage[]> } {
  let onFirst = (): void => {};
  let onEvent = (): void => {};
  const seen = {
    first: new Promise<void>((resolve) => {
      onFirst = resolve;
    }),
    event: new Promise<void>((resolve) => {
      onEvent = resolve;
    }),
  };
  const run = async (): Promise<WatchMessage[]> => {
    const stop = new AbortController();
    const messages: WatchMessage[] = [];
    for await (const message of store.watch(prefix, stop.signal)) {
      messages.push(message);
      onFirst();
      if (message.type === "events") onEvent();
      const kvs = message.type === "snapshot" ? message.kvs : message.events.map(({ kv }) => kv);
      if (kvs.some(({ key }) => key === last)) stop.abort();
    }
    return messages;
  };
  return { seen, done: run() };
}

/** Repeats `call` until the store is there again. */
async function patient<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
