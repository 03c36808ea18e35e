import assert from "node:assert/strict";
import { describe, it, mock } from "node:test";
import { Supervisor, watchdogMs } from "./supervisor.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };

describe("Supervisor", () => {
  it("tells that the node is ready, then its status when it changes, and that we live twice as often as wanted", () => {
    mock.timers.enable({ apis: ["setInterval"] });
    try {
      const told: string[] = [];
      const now: { status: string; dead: string | undefined } = { status: "ready: 5 peers", dead: undefined };
      using supervisor = new Supervisor({
        log: silent,
        whyDead: () => now.dead,
        status: () => now.status,
        env: { WATCHDOG_USEC: "20000000" },
        notify: (state) => told.push(state) > 0,
      });
      const heard = (): string[] => told.splice(0);
      supervisor.ready();
      assert.deepEqual(heard(), ["READY=1\nSTATUS=ready: 5 peers", "WATCHDOG=1"]);
      mock.timers.tick(10_000);
      assert.deepEqual(heard(), ["WATCHDOG=1"]);
      now.status = "ready:\n6 peers";
      mock.timers.tick(10_000);
      assert.deepEqual(heard(), ["STATUS=ready: 6 peers", "WATCHDOG=1"]);
      now.dead = "the kernel's state was not looked at for 99 s";
      mock.timers.tick(10_000);
      assert.deepEqual(heard(), ["STATUS=stuck: the kernel's state was not looked at for 99 s"]);
      supervisor.stopping();
      mock.timers.tick(60_000);
      assert.deepEqual(heard(), ["STOPPING=1\nSTATUS=stopping; the datapath stays"]);
    } finally {
      mock.timers.reset();
    }
  });

  it("does nothing more when nobody wants to know", () => {
    mock.timers.enable({ apis: ["setInterval"] });
    try {
      let told = 0;
      const env = { WATCHDOG_USEC: "1000000" };
      const options = { log: silent, whyDead: () => undefined, status: () => "ready", env };
      using supervisor = new Supervisor({ ...options, notify: () => ++told < 0 });
      supervisor.ready();
      mock.timers.tick(60_000);
      assert.equal(told, 1);
    } finally {
      mock.timers.reset();
    }
  });

  it("says once that nobody can be told", () => {
    const warned: string[] = [];
    const log = { ...silent, warn: (_: unknown, text?: string) => void warned.push(text ?? "") };
    using supervisor = new Supervisor({
      ...{ log, whyDead: () => undefined, status: () => "ready", env: { WATCHDOG_USEC: "1000000" } },
      notify: () => {
        throw new Error("no such socket");
      },
    });
    supervisor.ready();
    supervisor.stopping();
    assert.deepEqual(warned, ["cannot tell the supervisor READY=1"]);
  });
});

describe("watchdogMs()", () => {
  it("is undefined unless systemd watches this very process", () => {
    assert.equal(watchdogMs({}), undefined);
    assert.equal(watchdogMs({ WATCHDOG_USEC: "0" }), undefined);
    assert.equal(watchdogMs({ WATCHDOG_USEC: "x" }), undefined);
    assert.equal(watchdogMs({ WATCHDOG_USEC: "30000000" }), 30_000);
    assert.equal(watchdogMs({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "7" }, 7), 30_000);
    assert.equal(watchdogMs({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "7" }, 8), undefined);
  });
});
