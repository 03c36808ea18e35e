import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import type { JsonObject } from "../../formats/cni/index.ts";
import { addToIp, compareIp, parseIp, parseIpv4 } from "../../formats/netip/index.ts";
import { lockFile } from "../../kernel/index.ts";
import { runPlugin } from "../skel.ts";
import { parseRangeSets } from "./range.ts";
import { candidates } from "./walk.ts";

const REFERENCE = "/usr/lib/cni/host-local";
const skipReference = existsSync(REFERENCE) ? false : "containernetworking-plugins is not installed";

class Folder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "podpath-ipam-"));

  conf(ipam: JsonObject, more: JsonObject = {}): string {
    return JSON.stringify({
      cniVersion: "1.0.0",
      name: "net",
      ...more,
      ipam: { type: "host-local", dataDir: this.path, ...ipam },
    });
  }

  env(command: string, id: string, more: Record<string, string> = {}): Record<string, string> {
    const { CNI_ARGS = "" } = more;
    return {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: "/none",
      CNI_IFNAME: "eth0",
      CNI_PATH: "/none",
      CNI_ARGS,
      ...more,
    };
  }

  async ours(command: string, id: string, conf: string, more: Record<string, string> = {}): Promise<string> {
    return (await runPlugin({ name: "host-local", env: this.env(command, id, more), stdin: conf })).stdout;
  }

  async reference(command: string, id: string, conf: string): Promise<string> {
    const child = spawn(REFERENCE, [], { env: this.env(command, id), stdio: ["pipe", "pipe", "inherit"] });
    let stdout = "";
    child.stdout.on("data", (data) => (stdout += data));
    child.stdin.end(conf);
    await once(child, "close");
    return stdout;
  }

  files(network = "net"): string[] {
    return readdirSync(join(this.path, network)).sort();
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

const address = (stdout: string): string => {
  const [ip] = JSON.parse(stdout).ips ?? assert.fail(stdout);
  return ip.address;
};
const SMALL = { subnet: "10.1.2.0/29" }; // .2 to .6 for containers

test("addresses are given in turn, round the range, and a freed one only when its turn comes", async () => {
  using folder = new Folder();
  const conf = folder.conf(SMALL);
  const add = async (id: string): Promise<string> => address(await folder.ours("ADD", id, conf));
  assert.deepEqual([await add("a"), await add("b"), await add("c")], ["10.1.2.2/29", "10.1.2.3/29", "10.1.2.4/29"]);
  await folder.ours("DEL", "a", conf);
  assert.deepEqual([await add("d"), await add("e"), await add("f")], ["10.1.2.5/29", "10.1.2.6/29", "10.1.2.2/29"]);
  assert.match(await folder.ours("ADD", "g", conf), /no IP addresses available in range set: 10.1.2.1-10.1.2.6/);
  assert.deepEqual(folder.files(), [
    ".podpath-boot",
    "10.1.2.2",
    "10.1.2.3",
    "10.1.2.4",
    "10.1.2.5",
    "10.1.2.6",
    "last_reserved_ip.0",
    "lock",
  ]);
});

test("one address a range set, of both families; a failure gives back what was taken before", async () => {
  using folder = new Folder();
  const conf = folder.conf({ ranges: [[SMALL], [{ subnet: "fd00:1::/126" }]], routes: [{ dst: "0.0.0.0/0" }] });
  const result = JSON.parse(await folder.ours("ADD", "a", conf));
  assert.deepEqual(result.ips, [
    { address: "10.1.2.2/29", gateway: "10.1.2.1" },
    { address: "fd00:1::2/126", gateway: "fd00:1::1" },
  ]);
  assert.deepEqual(result.routes, [{ dst: "0.0.0.0/0" }]);
  await folder.ours("ADD", "b", conf);
  const before = folder.files();
  assert.match(await folder.ours("ADD", "c", conf), /failed to allocate for range 1/);
  assert.deepEqual(folder.files(), before);
});

test("a requested address is given, or refused with the reason", async () => {
  using folder = new Folder();
  const conf = folder.conf(SMALL);
  const ask = (id: string, ip: string) => folder.ours("ADD", id, conf, { CNI_ARGS: `IgnoreUnknown=1;IP=${ip}` });
  assert.equal(address(await ask("a", "10.1.2.5")), "10.1.2.5/29");
  assert.match(await ask("b", "10.1.2.5"), /requested IP address 10.1.2.5 is not available in range set/);
  assert.match(await ask("b", "10.1.2.1"), /requested ip 10.1.2.1 is subnet's gateway/);
  assert.match(await ask("b", "10.9.9.9"), /failed to allocate all requested IPs: 10.9.9.9/);
  assert.match(await ask("b", "x"), /x/);
  const capability = folder.conf(SMALL, { runtimeConfig: { ips: ["10.1.2.3/29"] } });
  assert.equal(address(await folder.ours("ADD", "c", capability)), "10.1.2.3/29");
  assert.deepEqual(
    folder.files().filter((name) => name.startsWith("10.")),
    ["10.1.2.3", "10.1.2.5"],
  );
});

test("an interface gets no second address of a set, and keeps its first", async () => {
  using folder = new Folder();
  const conf = folder.conf(SMALL);
  await folder.ours("ADD", "a", conf);
  assert.match(
    await folder.ours("ADD", "a", conf),
    /10.1.2.2 has been allocated to a, duplicate allocation is not allowed/,
  );
  assert.equal(readFileSync(join(folder.path, "net", "10.1.2.2"), "utf8"), "a\r\neth0");
});

test("an empty file, a crash's remains, holds no address; an old file without interface name belongs to its container", async () => {
  using folder = new Folder();
  mkdirSync(join(folder.path, "net"));
  writeFileSync(join(folder.path, "net", "10.1.2.2"), "");
  writeFileSync(join(folder.path, "net", "10.1.2.3"), "old\n");
  const conf = folder.conf(SMALL);
  assert.equal(address(await folder.ours("ADD", "a", conf)), "10.1.2.2/29");
  assert.equal(address(await folder.ours("ADD", "b", conf)), "10.1.2.4/29");
  assert.equal(await folder.ours("CHECK", "old", conf), "");
  await folder.ours("DEL", "old", conf);
  assert.ok(!folder.files().includes("10.1.2.3"));
});

test("a configuration it cannot allocate from is refused with the reason", async () => {
  using folder = new Folder();
  const rows: [JsonObject, RegExp][] = [
    [{}, /no IP ranges specified/],
    [{ subnet: "10.1.0.0/31" }, /Network 10.1.0.0\/31 too small to allocate from/],
    [{ subnet: "10.1.0.7/24" }, /host bits set.*length 24 the network address is 10.1.0.0/],
    [{ subnet: "10.1.0" }, /prefix "10.1.0"/],
    [{ ranges: [[SMALL], [SMALL]] }, /range set 1 overlaps with 0/],
    [{ ranges: [[SMALL, { subnet: "fd00::/64" }]] }, /mixed address families/],
    [{ ranges: [[]] }, /invalid range set 0/],
    [{ subnet: "10.1.0.0/24", rangeStart: "10.2.0.1" }, /rangeStart 10.2.0.1 not in network/],
    [{ subnet: "10.1.0.0/24", rangeStart: "10.1.0.9", rangeEnd: "10.1.0.3" }, /is after rangeEnd/],
  ];
  for (const [ipam, says] of rows) {
    const { code, msg } = JSON.parse(await folder.ours("ADD", "a", folder.conf(ipam)));
    assert.equal(code, 7, msg);
    assert.match(msg, says);
  }
});

test("candidates() walks every address but the gateway once, from the one after the last", () => {
  const [set = []] = parseRangeSets([
    [{ subnet: "10.0.0.0/29" }, { subnet: "10.0.1.0/24", rangeStart: "10.0.1.10", rangeEnd: "10.0.1.12" }],
  ]);
  const walk = (last?: string): string[] => [...candidates(set, last ? parseIp(last) : undefined)].map(({ ip }) => ip);
  const all = ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.1.10", "10.0.1.11", "10.0.1.12"];
  assert.deepEqual(walk(), all);
  assert.deepEqual(walk("192.0.2.1"), all);
  fc.assert(
    fc.property(fc.constantFrom("10.0.0.1", ...all), (last) => {
      const got = walk(last);
      assert.deepEqual(
        [...got].sort((a, b) => compareIp(parseIp(a), parseIp(b))),
        all,
      );
      const next = got[0] ?? assert.fail();
      assert.equal(
        next,
        last === "10.0.0.6" ? "10.0.1.10" : last === "10.0.1.12" ? "10.0.0.2" : addToIp(parseIpv4(last), 1),
      );
    }),
  );
});

test("ours and the reference take turns in one folder, and each frees what the other took", {
  skip: skipReference,
}, async () => {
  using folder = new Folder();
  const conf = folder.conf({ subnet: "10.1.2.0/28" });
  const got: string[] = [];
  for (let i = 0; i < 8; i++)
    got.push(address(await (i % 2 === 0 ? folder.ours("ADD", `c${i}`, conf) : folder.reference("ADD", `c${i}`, conf))));
  assert.deepEqual(
    got,
    [2, 3, 4, 5, 6, 7, 8, 9].map((n) => `10.1.2.${n}/28`),
  );
  for (let i = 0; i < 8; i++)
    assert.equal(await (i % 2 === 1 ? folder.ours("DEL", `c${i}`, conf) : folder.reference("DEL", `c${i}`, conf)), "");
  assert.deepEqual(folder.files(), [".podpath-boot", "last_reserved_ip.0", "lock"]);
});

test("ours and the reference at the same time give no address twice", { skip: skipReference }, async () => {
  using folder = new Folder();
  const conf = folder.conf({ subnet: "10.1.2.0/26" });
  const calls = Array.from({ length: 24 }, (_, i) =>
    i % 2 === 0 ? folder.ours("ADD", `c${i}`, conf) : folder.reference("ADD", `c${i}`, conf),
  );
  const got = (await Promise.all(calls)).map(address);
  assert.equal(new Set(got).size, 24);
});

test("lockFile() waits while another holds the lock, and gives up with its path", async () => {
  using folder = new Folder();
  const path = join(folder.path, "lock");
  const first = await lockFile(path);
  await assert.rejects(lockFile(path, { timeoutMs: 5, holder: "another call" }), {
    code: "EAGAIN",
    message: `Cannot lock ${path}: another call holds it; fuser ${path} tells its process id: let it finish, or stop it (EAGAIN)`,
  });
  let isFree = false;
  const second = lockFile(path).then((lock) => {
    assert.ok(isFree);
    return lock;
  });
  setImmediate(() => {
    isFree = true;
    first[Symbol.dispose]();
  });
  (await second)[Symbol.dispose]();
});
