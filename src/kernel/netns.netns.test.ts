import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { createNetNs, createUnnamedNetNs, deleteNetNs, inNs, NetNs, readSysctl, writeSysctl } from "./index.ts";
import { whyNoNetNs } from "./testing/namespaces.ts";

const skip = whyNoNetNs();
const here = (): string => readlinkSync("/proc/thread-self/ns/net");
const KERNEL = new URL("index.js", import.meta.url).href;

/** Runs a module in a process of its own, where nothing asynchronous has happened yet; without core dumps. */
function inProcess(code: string): { status: number | null; signal: string | null; stdout: string; stderr: string } {
  const node = [process.execPath, "--input-type=module", "-e", code];
  const run = spawnSync("sh", ["-c", 'ulimit -c 0; exec "$@"', "sh", ...node], { encoding: "utf8" });
  return run;
}

test("inNs() is in the namespace while its function runs, and back afterwards", { skip }, () => {
  using ns = createUnnamedNetNs();
  const home = here();
  const inside = inNs(ns, here);
  assert.equal(inside, `net:[${ns.inode}]`);
  assert.notEqual(inside, home);
  assert.equal(here(), home);
  assert.throws(() => inNs(ns, () => assert.fail("on purpose")), /on purpose/);
  assert.equal(here(), home);
});

test("inNs() windows nest, and each comes back to the one around it", { skip }, () => {
  using outer = createUnnamedNetNs();
  using inner = createUnnamedNetNs();
  const home = here();
  const seen = inNs(outer, () => [here(), inNs(inner, here), here()]);
  assert.deepEqual([...seen, here()], [`net:[${outer.inode}]`, `net:[${inner.inode}]`, `net:[${outer.inode}]`, home]);
});

test("a child process that is spawned inside starts there", { skip }, () => {
  using ns = createUnnamedNetNs();
  const links = inNs(ns, () => execFileSync("ip", ["-j", "link", "show"], { encoding: "utf8" }));
  assert.deepEqual(
    JSON.parse(links).map((link: { ifname: string }) => link.ifname),
    ["lo"],
  );
});

test("inNs() refuses an async function before it runs, and a promise after it", { skip }, async () => {
  using ns = createUnnamedNetNs();
  const home = here();
  let ran = false;
  const asynchronous = async (): Promise<void> => {
    ran = true;
  };
  assert.throws(() => inNs(ns, asynchronous), /is async; nothing was run/);
  assert.equal(ran, false);
  // The promise's own failure is nobody's any more: it must not end the process as an unhandled rejection.
  assert.throws(() => inNs(ns, () => Promise.reject(new Error("late"))), /gave a promise/);
  await new Promise(setImmediate);
  assert.equal(here(), home);
});

test("inNs() says so when the descriptor is no network namespace", () => {
  assert.throws(() => inNs({ fd: 999_999 }, here), /Cannot enter the network namespace of descriptor 999999: .*EBADF/);
});

test("inNs() ends the process when it cannot come back: it must not go on in the wrong namespace", { skip }, () => {
  const run = inProcess(`
    import { closeSync, readdirSync, readlinkSync } from "node:fs";
    import { createUnnamedNetNs, inNs } from "${KERNEL}";
    const ns = createUnnamedNetNs();
    inNs(ns, () => {
      for (const fd of readdirSync("/proc/self/fd"))
        try { if (readlinkSync("/proc/self/fd/" + fd).startsWith("net:")) closeSync(Number(fd)); } catch {}
    });
    console.log("still here");`);
  assert.equal(run.stdout, "");
  assert.equal(run.signal, "SIGABRT");
});

test("libuv's threads are started at home, although the first asynchronous call is inside a window", { skip }, () => {
  // As CommonJS, in one file, as the CNI plugins run: Node's own loader of ES modules starts the pool before us.
  const code = `
    const { readdirSync, readlink, readlinkSync } = require("node:fs");
    const { createUnnamedNetNs, inNs } = require("./netns.js");
    const home = readlinkSync("/proc/self/ns/net");
    const threads = () => readdirSync("/proc/self/task").map((tid) => readlinkSync("/proc/self/task/" + tid + "/ns/net"));
    const before = threads().length;
    const ns = createUnnamedNetNs();
    inNs(ns, () => { readlink("/proc/thread-self/ns/net", (error, link) => {
      console.log(JSON.stringify({ home, link, before, threads: threads() }));
    }); });`;
  const folder = fileURLToPath(new URL(".", import.meta.url));
  const stdin = { contents: code, resolveDir: folder };
  const { outputFiles } = buildSync({ stdin, bundle: true, platform: "node", external: ["koffi"], write: false });
  const [bundle] = outputFiles;
  assert.ok(bundle);
  const run = spawnSync(process.execPath, ["-e", bundle.text], { encoding: "utf8", cwd: folder });
  const { home, link, before, threads } = JSON.parse(run.stdout);
  assert.ok(threads.length > before, "the pool was not there before");
  assert.equal(link, home, run.stderr);
  assert.deepEqual([...new Set(threads)], [home]);
});

test("without the right to make or enter namespaces that is the error, and the process goes on at home", () => {
  // As nobody, whom it is denied on every machine; where this test itself has no such right, as whoever it is.
  const isRoot = process.getuid?.() === 0 && readFileSync("/proc/self/uid_map", "utf8").includes("4294967295");
  const run = inProcess(`
    import { createUnnamedNetNs, inNs, isPermission, NetNs } from "${KERNEL}";
    ${isRoot ? "process.setgid(65534); process.setuid(65534);" : ""}
    const self = NetNs.self();
    for (const attempt of [createUnnamedNetNs, () => inNs(self, () => {})])
      try { attempt(); console.log("done"); } catch (error) { console.log(isPermission(error)); }`);
  assert.equal(run.signal, null, run.stderr);
  if (isRoot) assert.equal(run.stdout, "true\ntrue\n");
});

test("createNetNs() makes a namespace on a file, with lo down; deleteNetNs() takes it away, twice if need be", {
  skip,
}, () => {
  const folder = mkdtempSync(join(tmpdir(), "podpath-netns-"));
  const path = join(folder, "run", "netns", "a");
  const home = here();
  try {
    try {
      createNetNs(path);
    } catch (error) {
      // A user namespace without a mount namespace of its own may not mount.
      assert.match(String(error), /EPERM/);
      assert.equal(existsSync(path), false);
      return;
    }
    assert.equal(here(), home);
    using ns = NetNs.open(path);
    assert.notEqual(`net:[${ns.inode}]`, home);
    assert.match(
      inNs(ns, () => execFileSync("ip", ["link", "show", "lo"], { encoding: "utf8" })),
      /state DOWN/,
    );
    assert.throws(() => createNetNs(path), { code: "EEXIST" });
    deleteNetNs(path);
    assert.equal(existsSync(path), false);
    deleteNetNs(path);
    assert.doesNotMatch(readFileSync("/proc/self/mountinfo", "utf8"), new RegExp(folder));
  } finally {
    deleteNetNs(path);
    rmSync(folder, { recursive: true, force: true });
  }
});

test("deleteNetNs() takes away a plain file that a crash left before the mount", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "podpath-netns-"));
  writeFileSync(join(folder, "a"), "");
  deleteNetNs(join(folder, "a"));
  assert.equal(existsSync(join(folder, "a")), false);
  rmSync(folder, { recursive: true });
});

test("NetNs.ofPid() opens another process's namespace, and knows its own by the inode", () => {
  using self = NetNs.self();
  using same = NetNs.ofPid(process.pid);
  assert.equal(same.inode, self.inode);
  assert.notEqual(same.fd, self.fd);
  same.close();
  same.close();
  assert.throws(() => NetNs.open("/proc/no-such-process/ns/net"), { code: "ENOENT" });
});

test("sysctls are read and written in the namespace that is named, and nowhere else", { skip }, () => {
  using ns = createUnnamedNetNs();
  const before = readSysctl("net/ipv4/ip_forward");
  const value = before === "1" ? "0" : "1";
  writeSysctl("net/ipv4/ip_forward", value, ns);
  assert.equal(readSysctl("net/ipv4/ip_forward", ns), value);
  assert.equal(readSysctl("net/ipv4/ip_forward"), before);
  assert.equal(readSysctl("net/ipv4/no_such_setting", ns), undefined);
  assert.throws(() => writeSysctl("net/ipv4/no_such_setting", 1, ns), { code: "ENOENT" });
});

test("a sysctl's name is a path below /proc/sys and nothing else", () => {
  for (const name of ["../../etc/passwd", "/etc/passwd", "net//ipv4", "net/./x", ""])
    assert.throws(() => readSysctl(name), TypeError, name);
});
