import assert from "node:assert/strict";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { after, before, beforeEach, describe, it } from "node:test";
import { AgentError } from "./errors.ts";
import { type HealthServer, serveHealth } from "./health.ts";
import { ReconcileLoop } from "./loop.ts";
import { Metrics } from "./metrics.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };

describe("what is served on --healthz-port", () => {
  const now: { dead: string | undefined; notReady: string | undefined } = { dead: undefined, notReady: undefined };
  const metrics = new Metrics({ version: "1.2.3", status: () => undefined, whyNotReady: () => now.notReady });
  const options = {
    ip: "127.0.0.1",
    port: 0,
    whyDead: () => now.dead,
    whyNotReady: () => now.notReady,
    metrics: () => metrics.text(),
    log: silent,
  };
  let server: HealthServer;
  before(async () => {
    server = await serveHealth(options);
  });
  beforeEach(() => Object.assign(now, { dead: undefined, notReady: undefined }));
  after(async () => {
    metrics[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });

  const get = async (path: string, init: RequestInit = {}): Promise<[number, string, string | null]> => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, init);
    return [response.status, await response.text(), response.headers.get("content-type")];
  };
  const PLAIN = "text/plain; charset=utf-8";

  it("answers a healthy node's probes word for word as Flannel does", async () => {
    assert.deepEqual(await get("/healthz"), [200, "flanneld is running", PLAIN]);
    assert.deepEqual(await get("/readyz?verbose"), [200, "flanneld is ready", PLAIN]);
  });

  it("takes readiness back while something is wrong, and gives it again", async () => {
    now.notReady = "device flannel.1 is not up";
    assert.deepEqual(await get("/readyz"), [503, "flanneld is not ready: device flannel.1 is not up", PLAIN]);
    assert.equal((await get("/healthz"))[0], 200);
    now.notReady = undefined;
    assert.equal((await get("/readyz"))[0], 200);
  });

  it("is neither alive nor ready when nothing is looked at any more", async () => {
    now.dead = "the kernel's state was not looked at for 99 s";
    assert.equal((await get("/healthz"))[0], 503);
    assert.match((await get("/readyz"))[1], /99 s/);
  });

  it("knows nothing else, and only reads", async () => {
    for (const path of ["/", "/healthz/", "/metrics/x", "//readyz"]) assert.equal((await get(path))[0], 404);
    assert.equal((await get("/healthz", { method: "POST" }))[0], 405);
    assert.deepEqual((await get("/healthz", { method: "HEAD" })).slice(0, 2), [200, ""]);
  });

  it("outlives what is no HTTP", async () => {
    const socket = connect(server.port, "127.0.0.1");
    socket.end("\0\xff nonsense\r\n\r\n");
    assert.match(await text(socket), /^HTTP\/1\.1 400/);
    assert.equal((await get("/healthz"))[0], 200);
  });

  it("tells of a failure to answer, and goes on", async () => {
    await using broken = await serveHealth({
      ...options,
      whyNotReady: () => {
        throw new Error("no netlink");
      },
    });
    const response = await fetch(`http://127.0.0.1:${broken.port}/readyz`);
    assert.deepEqual([response.status, await response.text()], [500, "no netlink"]);
  });

  it("refuses a port that is taken, by the flag's name", async () => {
    await assert.rejects(
      serveHealth({ ...options, port: server.port }),
      (error) => error instanceof AgentError && /--healthz-port \d+ on 127\.0\.0\.1: .*EADDRINUSE/.test(error.message),
    );
  });

  it("counts what it is told, and takes no label from a request", async () => {
    metrics.passed({ seconds: 0.003, cause: "drift", changes: { "replace-route": 2 } });
    metrics.masqueradeRestored();
    metrics.cniCalled({ command: "ADD", succeeded: true, seconds: 0.004 });
    metrics.cniCalled({ command: 'x"}\n', succeeded: false, seconds: 0.004 });
    now.notReady = "because";
    const [status, body, contentType] = await get("/metrics");
    assert.equal(status, 200);
    assert.match(contentType ?? "", /^text\/plain; version=0\.0\.4/);
    for (const line of [
      'podpath_kernel_changes_total{change="replace-route",cause="drift"} 2',
      "podpath_masquerade_restored_total 1",
      'podpath_cni_call_duration_seconds_count{command="ADD",result="ok"} 1',
      'podpath_cni_call_duration_seconds_count{command="other",result="error"} 1',
      'podpath_reconcile_duration_seconds_bucket{le="0.0025"} 0',
      'podpath_reconcile_duration_seconds_bucket{le="0.005"} 1',
      "podpath_ready 0",
    ])
      assert.ok(body.split("\n").includes(line), `${line}\n${body}`);
  });
});

describe("ReconcileLoop.lateMs", () => {
  it("grows while a pass is under way and is 0 when there is nothing to do", async () => {
    let finish = (): void => {};
    let begun = (): void => {};
    const beginning = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const pass = async (): Promise<object> => {
      begun();
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      return {};
    };
    const loop = new ReconcileLoop(pass, 1e6);
    assert.equal(loop.lateMs, 0);
    const controller = new AbortController();
    const running = loop.run(controller.signal);
    loop.trigger();
    await beginning;
    const start = performance.now();
    while (performance.now() < start + 5) {
      // The pass is waiting for us.
    }
    assert.ok(loop.lateMs >= 5);
    finish();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(loop.lateMs, 0);
    controller.abort();
    await running;
  });
});
