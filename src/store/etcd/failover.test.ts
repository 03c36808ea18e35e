// Several endpoints of one store, here several ways to it, of which some break.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type EmbeddedServer, EtcdError, isUnavailable, openEtcdStore, startEmbeddedServer } from "../index.ts";

let directory: string;
let server: EmbeddedServer;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "podpath-failover-"));
  server = await startEmbeddedServer({ dataDir: join(directory, "data"), listen: [`unix:${directory}/socket`] });
});
after(async () => {
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Way extends AsyncDisposable {
  readonly endpoint: string;
  /** How many connections there were. */
  readonly count: () => number;
  /** Lets requests through from now on, and no answers. */
  mute(): void;
  /** Ends what goes through it, and lets nothing new in. */
  cut(): Promise<void>;
}

/** `hush`: takes connections and says nothing. */
async function openWay(hush = false): Promise<Way> {
  const sockets = new Set<Socket>();
  const answering: [Socket, Socket][] = [];
  let count = 0;
  const proxy = createServer((socket) => {
    count++;
    const ends = hush ? [socket] : [socket, connect(`${directory}/socket`)];
    const [near, far] = ends;
    if (near && far) {
      near.pipe(far).pipe(near);
      answering.push([far, near]);
    }
    for (const end of ends) {
      sockets.add(end);
      end.on("error", () => {});
      end.on("close", () => ends.map((other) => other.destroy()));
    }
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const address = proxy.address();
  const cut = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    if (!proxy.listening) return;
    proxy.close();
    await once(proxy, "close");
  };
  const mute = (): void => {
    for (const [far, near] of answering) far.unpipe(near).resume();
  };
  const port = typeof address === "object" ? address?.port : 0;
  return { endpoint: `http://127.0.0.1:${port}`, count: () => count, mute, cut, [Symbol.asyncDispose]: cut };
}

test("when the endpoint in use breaks, calls and watches go on at the next, without a gap", async () => {
  await using first = await openWay();
  await using second = await openWay();
  const store = await openEtcdStore({ endpoints: [first.endpoint, second.endpoint] });
  const stop = new AbortController();
  const seen: string[] = [];
  for await (const message of store.watch("/f/", stop.signal)) {
    if (message.type === "snapshot") await store.put("/f/1", "");
    else seen.push(...message.events.map(({ kv }) => kv.key));
    if (seen.length === 1) {
      assert.equal(second.count(), 0);
      await first.cut();
      // Reads are repeated at the next endpoint; a write whose answer was cut off is not, so one that is asked for after that.
      assert.equal((await store.get("/f/1"))?.version, 1n);
      await store.put("/f/2", "");
    }
    if (seen.length === 2) stop.abort();
  }
  assert.deepEqual(seen, ["/f/1", "/f/2"]);
  assert.ok(second.count() > 0);
  await store[Symbol.asyncDispose]();
});

test("an endpoint that takes connections and says nothing is given up for the next", { timeout: 30_000 }, async () => {
  await using dumb = await openWay(true);
  await using good = await openWay();
  const store = await openEtcdStore({ endpoints: [dumb.endpoint, good.endpoint] });
  assert.deepEqual(await store.get("/none"), undefined);
  // From then on the good one is used at once.
  const before = dumb.count();
  await store.put("/dumb", "1");
  assert.equal(dumb.count(), before);
  await store[Symbol.asyncDispose]();
});

test("a write whose answer was lost is not sent again, and the error says so", { timeout: 30_000 }, async () => {
  await using first = await openWay();
  await using second = await openWay();
  const store = await openEtcdStore({ endpoints: [first.endpoint, second.endpoint] });
  const other = await openEtcdStore({ endpoints: server.addresses });
  assert.equal(await store.get("/lost"), undefined);
  first.mute();
  const stop = new AbortController();
  const failed = assert.rejects(store.put("/lost", "1"), (error) => {
    assert.ok(error instanceof EtcdError && isUnavailable(error));
    assert.ok(error.message.startsWith(`Cannot put /lost at ${first.endpoint}: `), error.message);
    assert.match(error.message, /it may have been done all the same: read before you repeat it/);
    return true;
  });
  // Cut when it has been done.
  for await (const message of other.watch("/lost", stop.signal)) {
    const kvs = message.type === "snapshot" ? message.kvs : message.events;
    if (kvs.length > 0) stop.abort();
  }
  await first.cut();
  await failed;
  assert.equal((await store.get("/lost"))?.version, 1n);
  for (const each of [store, other]) await each[Symbol.asyncDispose]();
});
