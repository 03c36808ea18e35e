// `podpath cni` on a node where one container lives and another has gone without a DEL.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { inNs, NetNs } from "../kernel/index.ts";
import { installCni } from "../plugins/index.ts";
import { cannotMakeNamespaces, FakeNode, ok } from "../plugins/testing/fake-node.ts";

const skip = cannotMakeNamespaces();
const program = fileURLToPath(new URL("./podpath.js", import.meta.url));

/** A node with a pod that lives and one that went without a word. */
class CniNode implements AsyncDisposable {
  readonly node: FakeNode = new FakeNode();
  readonly #folders = ["--bin-dir", this.node.path("bin"), "--conf-dir", this.node.path("net.d")];
  #process: ChildProcess | undefined;

  constructor() {
    const [binDir, confDir] = [this.node.path("bin"), this.node.path("net.d")];
    installCni({ binDir, confDir, socketPath: this.node.path("cni.sock") });
    // The network that install-cni configures keeps its files in the machine's own /var/lib.
    this.configure("10-flannel.conflist", { cniVersion: "1.0.0", name: "cbr0", plugins: [this.node.flannelConf()] });
  }

  configure(name: string, conflist: object | string): void {
    mkdirSync(this.node.path("net.d"), { recursive: true });
    const text = typeof conflist === "string" ? conflist : JSON.stringify(conflist);
    writeFileSync(this.node.path("net.d", name), text);
  }

  async addPods(): Promise<void> {
    for (const pod of ["alive", "ghost"]) {
      this.node.pod(pod);
      ok(await this.node.call("ADD", pod, this.node.flannelConf()));
    }
    this.node.deletePod("ghost");
    using netns = NetNs.open(this.node.pod("alive"));
    this.#process = inNs(netns, () => spawn("sleep", ["600"], { stdio: "ignore" }));
  }

  run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(process.execPath, [program, ...args, ...this.#folders], { encoding: "utf8" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const process = this.#process;
    if (process) {
      process.kill();
      await once(process, "close");
    }
    this.node[Symbol.dispose]();
  }
}

/** Lines of the networks of this test; the machine may have others in /var/lib/cni. */
const linesOf = (stdout: string): string[] => stdout.split("\n").filter((line) => line.includes("cbr0"));

test("podpath cni list tells who is there, and whose addresses are leaked", { skip }, async () => {
  await using cni = new CniNode();
  await cni.addPods();
  const { stdout, stderr } = cni.run("cni", "list");
  assert.match(stdout, /^NETWORK +CONTAINER +INTERFACE +ADDRESSES +NAMESPACE\n/, stderr);
  const [alive = "", ghost = ""] = linesOf(stdout);
  assert.match(alive, /^cbr0 +alive +eth0 +10\.244\.1\.2 +\/proc\/\d+\/ns\/net$/);
  assert.match(ghost, /^cbr0 +ghost +eth0 +10\.244\.1\.3 +gone: its addresses are leaked$/);
  const entries: { containerId: string; network: string }[] = JSON.parse(cni.run("cni", "list", "--json").stdout);
  const ours = entries.filter(({ network }) => network === "cbr0").map(({ containerId }) => containerId);
  assert.deepEqual(ours, ["alive", "ghost"]);
});

test("podpath cni gc frees what the dead have left, and the living keep theirs", { skip }, async () => {
  await using cni = new CniNode();
  const { node } = cni;
  await cni.addPods();
  const dry = cni.run("cni", "gc", "--dry-run");
  assert.match(dry.stdout, /^would free 10\.244\.1\.3 of ghost eth0 in cbr0$/m, dry.stderr);
  assert.deepEqual(node.reserved(), ["10.244.1.2", "10.244.1.3"]);
  const collected = cni.run("cni", "gc");
  assert.equal(collected.status, 0, collected.stderr);
  assert.match(collected.stdout, /^frees 10\.244\.1\.3 of ghost eth0 in cbr0$/m);
  assert.deepEqual(node.reserved(), ["10.244.1.2"]);
  assert.deepEqual([existsSync(node.path("flannel/ghost")), existsSync(node.path("flannel/alive"))], [false, true]);
  assert.match(cni.run("cni", "gc").stdout, /nothing is leaked/);
});

test("podpath cni status tells which network cannot take pods, and why", { skip }, async () => {
  await using cni = new CniNode();
  const good = cni.run("cni", "status");
  assert.equal(good.status, 0, good.stderr);
  assert.match(good.stdout, /^cbr0 \(.*10-flannel\.conflist, which runtimes give their pods\)\n {2}flannel: ready\n$/);
  writeFileSync(cni.node.path("subnet.env"), "");
  const bad = cni.run("cni", "status");
  assert.equal(bad.status, 1);
  assert.match(bad.stderr, /^podpath: cbr0: flannel: .*subnet\.env/m);
  cni.configure("05-broken.conflist", "{");
  assert.match(cni.run("cni", "status").stderr, /05-broken\.conflist: /);
});

test("podpath install-cni --uninstall takes away what it wrote, and nothing of somebody else's", { skip }, async () => {
  await using cni = new CniNode();
  writeFileSync(cni.node.path("bin", "portmap"), "somebody else's");
  const { status, stdout, stderr } = cni.run("install-cni", "--uninstall");
  assert.equal(status, 0, stderr);
  assert.match(stdout, /removed file .*bin\/flannel/);
  assert.match(stdout, /left file .*bin\/portmap: it is not podpath's/);
  // It was changed since: by this very test.
  assert.match(stdout, /left file .*10-flannel\.conflist/);
  assert.deepEqual([existsSync(cni.node.path("bin/flannel")), existsSync(cni.node.path("bin/portmap"))], [false, true]);
  cni.run("install-cni");
  cni.run("install-cni", "--uninstall");
  assert.equal(existsSync(cni.node.path("net.d/10-flannel.conflist")), false);
});
