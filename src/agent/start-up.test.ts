import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { formatPrefix, parsePrefix } from "../formats/netip/index.ts";
import type { Lease } from "../subnet/index.ts";
import { AgentError } from "./errors.ts";
import { LeaseFeed } from "./lease-feed.ts";
import { requireNetAdmin } from "./preflight.ts";
import { previousSubnets, writeSubnetFile } from "./subnet-file.ts";
import { Undo } from "./undo.ts";

const dir = mkdtempSync(join(tmpdir(), "podpath-agent-"));
after(() => rmSync(dir, { recursive: true }));

describe("writeSubnetFile()", () => {
  const env = {
    networks: [parsePrefix("10.5.0.0/16")],
    ipv6Networks: [],
    subnet: parsePrefix("10.5.67.0/24"),
    mtuBytes: 1450,
    ipMasq: true,
  };

  it("writes what Flannel writes, makes the folder, and leaves nothing else there", () => {
    const path = join(dir, "flannel", "subnet.env");
    assert.equal(writeSubnetFile(path, env), true);
    assert.equal(
      readFileSync(path, "utf8"),
      "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.67.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
    );
    assert.equal(statSync(path).mode & 0o777, 0o644);
    assert.deepEqual(readdirSync(join(dir, "flannel")), ["subnet.env"]);
    assert.deepEqual(previousSubnets(path).map(formatPrefix), ["10.5.67.0/24"]);
  });

  it("leaves a file alone that says the same already", () => {
    const path = join(dir, "same.env");
    writeSubnetFile(path, env);
    const before = statSync(path, { bigint: true });
    assert.equal(writeSubnetFile(path, env), false);
    assert.equal(statSync(path, { bigint: true }).ino, before.ino);
  });

  it("says where it cannot write, and what to do", () => {
    writeFileSync(join(dir, "file"), "");
    assert.throws(
      () => writeSubnetFile(join(dir, "file", "subnet.env"), env),
      (error) => error instanceof AgentError && /file\/subnet\.env.*--subnet-file/.test(error.message),
    );
  });
});

describe("previousSubnets()", () => {
  it("knows none without a file or with a senseless one", () => {
    writeFileSync(join(dir, "bad.env"), "FLANNEL_SUBNET=nonsense\n");
    assert.deepEqual([previousSubnets(join(dir, "none.env")), previousSubnets(join(dir, "bad.env"))], [[], []]);
  });
});

describe("requireNetAdmin()", () => {
  it("passes with CAP_NET_ADMIN alone and says what is missing without", () => {
    requireNetAdmin("Name:\tnode\nCapEff:\t0000000000001000\n");
    assert.throws(
      () => requireNetAdmin("Name:\tnode\nCapEff:\t000001ffffffefff\n"),
      (error) => error instanceof AgentError && /CAP_NET_ADMIN/.test(error.message),
    );
  });
});

describe("Undo", () => {
  it("runs backwards, once, and past a step that fails", async () => {
    const done: string[] = [];
    const log = { debug() {}, info() {}, warn: (_: object, text: string) => done.push(text), error() {} };
    const undo = new Undo(log as never);
    undo.push("do the first", () => done.push("first"));
    undo.push("do the second", () => {
      throw new Error("no");
    });
    undo.push("do the third", async () => done.push("third"));
    await undo[Symbol.asyncDispose]();
    await undo[Symbol.asyncDispose]();
    assert.deepEqual(done, ["third", "cannot do the second", "first"]);
  });
});

describe("LeaseFeed", () => {
  const lease = { subnet: parsePrefix("10.5.1.0/24") } as Lease;

  it("gives the first set to who waits, and a late listener the latest one", async () => {
    const controller = new AbortController();
    const feed = new LeaseFeed({ watch: sets }, controller.signal);
    assert.deepEqual(await feed.first, [lease]);
    const heard: number[] = [];
    feed.listen((leases) => heard.push(leases.length));
    controller.abort();
    await feed.done;
    assert.deepEqual(heard, [1]);

    async function* sets(signal: AbortSignal): AsyncGenerator<readonly Lease[]> {
      yield [lease];
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    }
  });

  it("tells who waits for the first set that none will come", async () => {
    const feed = new LeaseFeed({ watch: async function* () {} }, AbortSignal.abort(new Error("stopped")));
    await assert.rejects(feed.first, /stopped/);
  });
});
