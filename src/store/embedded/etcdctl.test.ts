// Debian's etcdctl, unmodified, against the embedded server: on TCP and on a Unix socket.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { type EmbeddedServer, openEtcdStore, startEmbeddedServer } from "../index.ts";
import { whyNoEtcdctl } from "../testing/real-etcd.ts";

describe("etcdctl", { skip: whyNoEtcdctl(), timeout: 60_000 }, () => {
  let directory: string;
  let server: EmbeddedServer;
  const env = { ...process.env, ETCDCTL_API: "3" };
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "podpath-etcdctl-"));
    server = await startEmbeddedServer({
      dataDir: join(directory, "data"),
      listen: ["127.0.0.1:0", `unix:${directory}/socket`],
    });
  });
  after(async () => {
    await server.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const run = async (endpoint: string, args: readonly string[], input = ""): Promise<string> => {
    const promise = promisify(execFile)("etcdctl", ["--endpoints", endpoint, ...args], { env });
    promise.child.stdin?.end(input);
    return (await promise).stdout;
  };

  test("reads, writes, deletes, compacts and compares", async () => {
    for (const endpoint of server.addresses) {
      const ctl = (...args: string[]): Promise<string> => run(endpoint, args);
      assert.equal(await ctl("put", "/ctl/a", "1"), "OK\n");
      assert.equal(await ctl("put", "/ctl/a", "2", "--prev-kv"), "OK\n/ctl/a\n1\n");
      assert.equal(await ctl("put", "/ctl/b", "3"), "OK\n");
      assert.equal(await ctl("get", "--prefix", "/ctl/"), "/ctl/a\n2\n/ctl/b\n3\n");
      assert.equal(
        await ctl("get", "--prefix", "/ctl/", "--order", "DESCEND", "--limit", "1", "--keys-only"),
        "/ctl/b\n\n",
      );
      const json = JSON.parse(await ctl("get", "/ctl/b", "-w", "json"));
      assert.equal(await ctl("get", "/ctl/a", "--rev", String(json.header.revision - 2), "--print-value-only"), "1\n");
      await assert.rejects(ctl("get", "/ctl/a", "--rev", "9999"), /required revision is a future revision/);
      await ctl("compaction", String(json.header.revision));
      await assert.rejects(ctl("get", "/ctl/a", "--rev", "2"), /required revision has been compacted/);
      const script = 'version("/ctl/a") > "1"\n\nput /ctl/c yes\n\nput /ctl/c no\n\n';
      assert.match(await run(endpoint, ["txn"], script), /SUCCESS/);
      assert.equal(await ctl("get", "/ctl/c", "--print-value-only"), "yes\n");
      assert.equal(await ctl("del", "--prefix", "/ctl/"), "3\n");
    }
  });

  test("grants, keeps, lists and revokes leases", async () => {
    const [endpoint = ""] = server.addresses;
    const ctl = (...args: string[]): Promise<string> => run(endpoint, args);
    const id = /lease (\w+) granted with TTL\(100s\)/.exec(await ctl("lease", "grant", "100"))?.[1] ?? "";
    await ctl("put", "/ctl/leased", "x", "--lease", id);
    assert.match(
      await ctl("lease", "timetolive", id, "--keys"),
      /granted with TTL\(100s\).*attached keys\(\[\/ctl\/leased\]\)/,
    );
    assert.match(await ctl("lease", "keep-alive", "--once", id), /keepalived with TTL\(100\)/);
    assert.match(await ctl("lease", "list"), new RegExp(id));
    await ctl("lease", "revoke", id);
    assert.equal(await ctl("get", "/ctl/leased"), "");
    assert.match(await ctl("lease", "timetolive", id), /already expired/);
    await assert.rejects(ctl("put", "k", "v", "--lease", id), /requested lease not found/);
  });

  test("asks for status, health, members, alarms and hash", async () => {
    for (const endpoint of server.addresses) {
      const ctl = (...args: string[]): Promise<string> => run(endpoint, args);
      assert.match(await ctl("endpoint", "status"), /3\.5\.0\+podpath/);
      await ctl("endpoint", "health");
      const { members } = JSON.parse(await ctl("member", "list", "-w", "json"));
      assert.deepEqual(members[0].clientURLs, server.addresses);
      assert.match(await ctl("endpoint", "hashkv"), /, \d+/);
      assert.equal(await ctl("alarm", "list"), "");
      await ctl("defrag");
    }
  });

  test("watches from an old revision, with previous values", async () => {
    const [endpoint = ""] = server.addresses;
    const revision = JSON.parse(await run(endpoint, ["put", "/watched/a", "1", "-w", "json"])).header.revision;
    await run(endpoint, ["put", "/watched/a", "2"]);
    const watch = spawn(
      "etcdctl",
      ["--endpoints", endpoint, "watch", "--prefix", "/watched/", "--rev", `${revision}`, "--prev-kv"],
      {
        env,
      },
    );
    const lines: string[] = [];
    for await (const line of createInterface({ input: watch.stdout })) {
      if (lines.push(line) === 8) await run(endpoint, ["del", "/watched/a"]);
      if (lines.length === 13) break;
    }
    watch.kill();
    await once(watch, "exit");
    assert.deepEqual(lines, [
      ...["PUT", "/watched/a", "1"],
      ...["PUT", "/watched/a", "1", "/watched/a", "2"],
      ...["DELETE", "/watched/a", "2", "/watched/a", ""],
    ]);
  });

  test("shows Flannel's keys and values as they were put", async () => {
    const store = await openEtcdStore({ endpoints: server.addresses });
    const value = '{"PublicIP":"192.168.77.1","PublicIPv6":null,"BackendType":"vxlan"}';
    const key = "/coreos.com/network/subnets/10.5.71.0-24&2001:cafe:42:57::-64";
    await store.put(key, value);
    await store[Symbol.asyncDispose]();
    const [endpoint = ""] = server.addresses;
    assert.equal(await run(endpoint, ["get", "--prefix", "/coreos.com/network"]), `${key}\n${value}\n`);
  });
});
