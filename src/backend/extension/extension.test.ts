import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe, it } from "node:test";
import { formatLeaseAttrs, parseNetworkConfig } from "../../formats/flannel/index.ts";
import { parseIpv4, parseIpv6, parsePrefix } from "../../formats/netip/index.ts";
import type { StepFailure } from "../../host/index.ts";
import { isRunning, processId } from "../../kernel/index.ts";
import type { Lease } from "../../subnet/index.ts";
import { BackendError, type ExternalInterface } from "../index.ts";
import { MemoryKernel } from "../testing/memory-kernel.ts";
import { runCommand } from "./command.ts";
import { ExtensionBackend } from "./extension.ts";

const ETH0: ExternalInterface = {
  name: "eth0",
  index: 2,
  mtuBytes: 1500,
  address: parseIpv4("192.168.100.11"),
  publicIp: parseIpv4("192.168.100.11"),
};
const dir = mkdtempSync(join(tmpdir(), "podpath-extension-"));
let scripts = 0;

/** A program with this body, for a command's first word. */
function script(body: string): string {
  const path = join(dir, `script-${++scripts}.sh`);
  writeFileSync(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  return path;
}

function lease(n: number, data?: unknown, publicIp = `192.168.100.${n}`): Lease {
  const backendData = data as string;
  const attrs = { publicIp: parseIpv4(publicIp), backendType: "extension", ...(data !== undefined && { backendData }) };
  return { subnet: parsePrefix(`10.244.${n}.0/24`), attrs };
}

interface Node {
  readonly backend: ExtensionBackend;
  readonly lines: string[];
  /** What the commands wrote down since the last time. */
  told(): string[];
  pass(peers: readonly Lease[], skip?: (of: string) => boolean): Promise<readonly StepFailure[]>;
  /** Resolves when the backend asks for a pass. */
  asked(): Promise<void>;
}

const nodes: Node[] = [];
let states = 0;

/** A node whose commands `add` and `remove` write down their words, stdin and environment, and then do `body`. */
function start(body: { add?: string; remove?: string } = {}, more: object = {}, stateDir = newStateDir()): Node {
  const book = join(stateDir, "told");
  const write = (what: string, then = ""): string => {
    const line = `echo "${what} $* data=$(cat) $SUBNET $PUBLIC_IP $IPV6SUBNET $PUBLIC_IPV6" >> ${book}`;
    return `${script(`${line}\n${then}`)} $SUBNET $PUBLIC_IP`;
  };
  const commands = {
    SubnetAddCommand: write("add", body.add),
    SubnetRemoveCommand: write("remove", body.remove),
    ...more,
  };
  const network = parseNetworkConfig(
    JSON.stringify({ Network: "10.244.0.0/16", Backend: { Type: "extension", ...commands } }),
  );
  const lines: string[] = [];
  const say = (fields: object, message: string): void => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  const log = { debug: say, info: say, warn: say, error: say };
  let onChange = (): void => {};
  const rtnl = new MemoryKernel();
  const backend = new ExtensionBackend({ rtnl, network, log, stateDir, onChange: () => onChange() });
  const node: Node = {
    backend,
    lines,
    told: () => {
      const text = readIfThere(book);
      rmSync(book, { force: true });
      return text.split("\n").filter(Boolean).sort();
    },
    pass: (peers, skip = () => false) => backend.settle(lease(1), peers, ETH0, skip),
    asked: () =>
      new Promise((resolve) => {
        onChange = resolve;
      }),
  };
  nodes.push(node);
  return node;
}

function newStateDir(): string {
  const path = join(dir, `state-${++states}`);
  mkdirSync(path);
  return path;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

const told = (what: string, n: number, data = "", ip = `192.168.100.${n}`): string =>
  `${what} 10.244.${n}.0/24 ${ip} data=${data} 10.244.${n}.0/24 ${ip}`;
const trimmed = (lines: string[]): string[] => lines.map((line) => line.trimEnd());

describe("the extension backend", () => {
  afterEach(async () => {
    for (const { backend } of nodes.splice(0)) await backend.stop();
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  it("publishes what PreStartupCommand prints, as a string, without what it complains about", async () => {
    const command = script('echo "  02:00:00:00:00:01 <a>"; echo noise >&2');
    const { backend } = start({}, { PreStartupCommand: command });
    assert.equal(
      formatLeaseAttrs(await backend.leaseAttrs(ETH0)),
      '{"PublicIP":"192.168.100.11","PublicIPv6":null,"BackendType":"extension","BackendData":"02:00:00:00:00:01 \\u003ca\\u003e"}',
    );
    assert.equal((await start({}, { PreStartupCommand: "true" }).backend.leaseAttrs(ETH0)).backendData, "");
    assert.equal((await start().backend.leaseAttrs(ETH0)).backendData, undefined);
  });

  it("does not start when a start-up command fails, and says which and why", async () => {
    const bad = script("echo no such device >&2; exit 3");
    await assert.rejects(start({}, { PreStartupCommand: bad }).backend.leaseAttrs(ETH0), (error) => {
      return error instanceof BackendError && /PreStartupCommand.*status 3: no such device/.test(error.message);
    });
    await assert.rejects(start({}, { PostStartupCommand: bad }).pass([]), /PostStartupCommand.*status 3/);
    await assert.rejects(start({}, { PreStartupCommand: "/no/such/program" }).backend.leaseAttrs(ETH0), /ENOENT/);
    await assert.rejects(start({}, { PreStartupCommand: "$NOTHING" }).backend.leaseAttrs(ETH0), /names no program/);
  });

  it("runs PostStartupCommand once, before any peer's command, with the network and this node", async () => {
    const book = join(dir, "post");
    const post = script(`echo "$NETWORK $SUBNET $PUBLIC_IP" >> ${book}`);
    const node = start({ add: `cat ${book} >/dev/null` }, { PostStartupCommand: post });
    assert.deepEqual(await node.pass([lease(2)]), []);
    await node.pass([lease(2)]);
    assert.equal(readFileSync(book, "utf8"), "10.244.0.0/16 10.244.1.0/24 192.168.100.1\n");
  });

  it("adds each peer once, with its values and its data and a newline on stdin", async () => {
    const node = start();
    assert.deepEqual(await node.pass([lease(2, "02:00:00:00:00:02"), lease(3)]), []);
    assert.deepEqual(trimmed(node.told()), [told("add", 2, "02:00:00:00:00:02"), told("add", 3)]);
    await node.pass([lease(2, "02:00:00:00:00:02"), lease(3)]);
    assert.deepEqual(node.told(), []);
  });

  it("removes whoever goes, with the values it was added with, and re-adds whoever changes", async () => {
    const node = start();
    await node.pass([lease(2, "a"), lease(3)]);
    node.told();
    await node.pass([lease(2, "b")]);
    assert.deepEqual(trimmed(node.told()), [told("add", 2, "b"), told("remove", 2, "a"), told("remove", 3)]);
    await node.pass([]);
    assert.deepEqual(trimmed(node.told()), [told("remove", 2, "b")]);
    await node.pass([]);
    assert.deepEqual(node.told(), []);
  });

  it("passes IPv6 values too, and an empty word for what is not there", async () => {
    const network = { EnableIPv4: false, EnableIPv6: true, IPv6Network: "2001:db8:42::/48" };
    const book = join(dir, "v6");
    const command = script(`echo "[$1][$2][$3][$4] $NETWORK" > ${book}`);
    const config = JSON.stringify({
      ...network,
      Backend: { Type: "extension", SubnetAddCommand: `${command} $SUBNET $PUBLIC_IP $IPV6SUBNET $PUBLIC_IPV6` },
    });
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const backend = new ExtensionBackend({ rtnl: new MemoryKernel(), network: parseNetworkConfig(config), log });
    const attrs = { publicIp: parseIpv4("0.0.0.0"), publicIpv6: parseIpv6("fd00::2"), backendType: "extension" };
    const peer = { ipv6Subnet: parsePrefix("2001:db8:42:2::/64"), attrs };
    const own = { ...peer, ipv6Subnet: parsePrefix("2001:db8:42:1::/64") };
    await backend.settle(own, [peer], { name: "eth0", index: 2, mtuBytes: 1500 }, () => false);
    assert.equal(readFileSync(book, "utf8"), "[][][2001:db8:42:2::/64][fd00::2] \n");
  });

  it("removes and adds again what cannot be added, at once: it may stand in its own way", async () => {
    const stateDir = newStateDir();
    const route = join(stateDir, "route");
    const commands = { add: `mkdir ${route}`, remove: `rmdir ${route}` };
    await start(commands, {}, stateDir).pass([lease(2)]);
    const next = start(commands, {}, stateDir);
    next.told();
    assert.deepEqual(await next.pass([lease(2)]), []);
    assert.deepEqual(trimmed(next.told()), [told("add", 2), told("add", 2), told("remove", 2)]);
  });

  it("tells one peer's failure and does the others; not again while it shall wait, and then until it works", async () => {
    const cause = join(dir, "cause");
    writeFileSync(cause, "");
    const node = start({ add: `test $SUBNET = 10.244.2.0/24 && test -e ${cause} && { echo sorry; exit 2; }; true` });
    const failures = await node.pass([lease(2), lease(3)]);
    assert.deepEqual(
      failures.map(({ of }) => of),
      ["commands of peer 10.244.2.0/24"],
    );
    assert.match(String(failures[0]?.error), /SubnetAddCommand.*status 2: sorry/);
    assert.ok(node.told().some((line) => line.startsWith("add 10.244.3.0/24")));
    assert.deepEqual(await node.pass([lease(2), lease(3)], () => true), []);
    assert.deepEqual(node.told(), []);
    rmSync(cause);
    assert.deepEqual(await node.pass([lease(2), lease(3)]), []);
    assert.deepEqual(trimmed(node.told()), [told("add", 2)]);
  });

  it("waits for no command that hangs, and asks for a pass when it ends", async () => {
    const fifo = join(dir, "fifo");
    execFileSync("mkfifo", [fifo]);
    const node = start({ add: `test $SUBNET != 10.244.2.0/24 || read line < ${fifo}` });
    const asked = node.asked();
    assert.deepEqual(await node.pass([lease(2), lease(3)]), [], "what is running has neither worked nor failed");
    assert.deepEqual(trimmed(node.told()), [told("add", 2), told("add", 3)]);
    assert.deepEqual(await node.pass([lease(2), lease(3), lease(4)]), []);
    assert.deepEqual(trimmed(node.told()), [told("add", 4)]);
    writeFileSync(fifo, "go on\n");
    await asked;
    assert.deepEqual(await node.pass([lease(2), lease(3), lease(4)]), []);
    assert.deepEqual(node.told(), []);
  });

  it("ends what is running when the agent stops, with all it started", async () => {
    const pids = join(dir, "pids");
    const node = start({ add: `sleep 1000 & echo $$ $! > ${pids}; wait` });
    await node.pass([lease(2)]);
    const running = readFileSync(pids, "utf8")
      .trim()
      .split(" ")
      .map((pid) => processId(Number(pid)));
    assert.equal(running.filter(Boolean).length, 2);
    await node.backend.stop();
    for (const id of running) assert.ok(id === undefined || !isRunning(id));
  });

  it("ends a command that does not end in time, with its children, and bounds what it prints", async () => {
    const pids = join(dir, "late");
    const command = {
      ...{ key: "SubnetAddCommand", variables: {}, stdin: "", timeoutMs: 500 },
      text: script(`sleep 1000 & echo $! > ${pids}; yes`),
    };
    await assert.rejects(runCommand(command).done, (error: Error) => {
      return /did not end within 0\.5 s, and was killed/.test(error.message) && error.message.length < 2000;
    });
    const child = processId(Number(readFileSync(pids, "utf8")));
    // SIGKILL is sent by then; the kernel ends a process when it gets to it.
    for (const end = performance.now() + 5000; child !== undefined && isRunning(child); ) {
      assert.ok(performance.now() < end, "the command's child goes on");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });

  it("does not wait for a child that a command leaves behind with its pipes", async () => {
    const pids = join(dir, "daemon");
    const text = script(`sleep 1000 & echo $! > ${pids}; echo done`);
    const { stdout } = await runCommand({ key: "k", text, variables: {}, stdin: "", timeoutMs: 60_000 }).done;
    assert.equal(stdout, "done");
    const daemon = Number(readFileSync(pids, "utf8"));
    assert.ok(processId(daemon), "it is the operator's");
    process.kill(daemon, "SIGKILL");
  });

  it("takes no start-up output that is too long for a lease", async () => {
    const command = script("head -c 70000 /dev/zero | tr '\\0' x");
    await assert.rejects(start({}, { PreStartupCommand: command }).backend.leaseAttrs(ETH0), /more than 65536 bytes/);
  });

  it("removes whoever went while no agent ran, with the values of then, and forgets it", async () => {
    const stateDir = newStateDir();
    await start({}, {}, stateDir).pass([lease(2, "old"), lease(3)]);
    const next = start({}, {}, stateDir);
    next.told();
    await next.pass([lease(3, "new")]);
    assert.deepEqual(trimmed(next.told()), [told("add", 3, "new"), told("remove", 2, "old"), told("remove", 3)]);
    await next.pass([lease(3, "new")]);
    const last = start({}, {}, stateDir);
    await last.pass([]);
    assert.deepEqual(trimmed(last.told()), [told("remove", 3, "new")]);
  });

  it("believes nothing of a boot before this one, nor what is no note of ours", async () => {
    const stateDir = newStateDir();
    await start({}, {}, stateDir).pass([lease(2)]);
    const file = join(stateDir, "extension.json");
    const note = JSON.parse(readFileSync(file, "utf8"));
    for (const text of [
      JSON.stringify({ ...note, scope: "another boot" }),
      JSON.stringify({ ...note, peers: [{ name: "x" }, null, 7, { name: "y", data: "", variables: { A: 1 } }] }),
      "{",
    ]) {
      writeFileSync(file, text);
      const next = start({}, {}, stateDir);
      next.told();
      assert.deepEqual(await next.pass([]), []);
      assert.deepEqual(next.told(), [], text);
    }
  });

  it("gives up a removal that always fails, as what is to be removed may be gone", async () => {
    const node = start({ remove: "exit 1" });
    await node.pass([lease(2)]);
    node.told();
    for (let i = 0; i < 4; i++) assert.equal((await node.pass([])).length, 1);
    assert.deepEqual(await node.pass([]), []);
    assert.ok(node.lines.some((line) => line.includes("giving up on commands of peer 10.244.2.0/24")));
    node.told();
    assert.deepEqual(await node.pass([]), []);
    assert.deepEqual(node.told(), []);
  });

  it("lets nothing of another node's lease become a word, an option or a command", async () => {
    const node = start();
    const evil = '"; touch /tmp/x; $(id) --option\n-rf\n$SUBNET';
    await node.pass([lease(2, evil), lease(3, { not: "a string" })]);
    assert.deepEqual(trimmed(node.told()), [
      "$SUBNET 10.244.2.0/24 192.168.100.2",
      "-rf",
      'add 10.244.2.0/24 192.168.100.2 data="; touch /tmp/x; $(id) --option',
    ]);
    assert.ok(node.lines.some((text) => /ignoring lease 10\.244\.3\.0\/24.*string in quotes/.test(text)));
  });

  it("runs dozens of peers' commands side by side, a few at a time", async () => {
    const most = join(dir, "most");
    mkdirSync(most);
    const body = `f=${most}/$$; : > $f; ls ${most} | wc -l >> ${dir}/counts; rm $f`;
    const node = start({ add: body });
    const peers = Array.from({ length: 40 }, (_, i) => lease(i + 20));
    for (let done = 0; done < 40; done = done + node.told().length) assert.deepEqual(await node.pass(peers), []);
    const counts = readFileSync(join(dir, "counts"), "utf8").trim().split("\n").map(Number);
    assert.equal(counts.length, 40);
    // Eight; more only where one takes longer than a second.
    assert.ok(Math.max(...counts) <= 24, String(counts));
  });
});
