// A machine for a real container runtime, inside a private machine (kernel/testing/private-machine.ts): every folder that
// a runtime writes to is its own, the plugins are installed as an operator installs them, and there is something to run.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { JsonObject } from "../../formats/cni/index.ts";
import { deleteLink } from "../../formats/netlink/index.ts";
import { Rtnl } from "../../kernel/index.ts";
import { installCni } from "../../plugins/index.ts";
import { startCniServer } from "../cni-server.ts";

export const BIN_DIR = "/opt/cni/bin";
export const CONF_DIR = "/etc/cni/net.d";
const SOCKET = "/run/podpath/cni.sock";
/** What runtimes and plugins write to. /run is the private machine's own already. */
const FOLDERS = ["/opt/cni", "/etc/cni", "/var/lib/cni", "/var/lib/containers"];
const APPLETS = ["sh", "ip", "ping", "wget", "httpd", "sleep", "cat", "echo", "kill"];

/** For a test's `skip`: which of the programs is not installed, or false. */
export function lacks(...programs: readonly string[]): string | false {
  const missing = programs.find((program) => spawnSync("which", [program]).status !== 0);
  return missing === undefined ? false : `${missing} is not installed (npm test installs it where it may)`;
}

export interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** With the agent's CNI server, or with nobody behind the socket, so that each plugin is a Node process. */
export type Served = "agent" | "fallback";

export class RuntimeMachine implements AsyncDisposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "podpath-runtime-"));
  /** A container's root: busybox, and nothing else. */
  readonly rootfs: string = join(this.folder, "rootfs");
  /** For the runtime's control groups, which no namespace hides from the machine. */
  readonly cgroup: string = basename(this.folder);
  readonly #server: AsyncDisposable | undefined;
  readonly #children = new Set<ChildProcess>();

  private constructor(server: AsyncDisposable | undefined) {
    this.#server = server;
    for (const name of ["bin", "proc", "sys", "dev", "etc", "tmp"])
      mkdirSync(join(this.rootfs, name), { recursive: true });
    copyFileSync("/bin/busybox", join(this.rootfs, "bin/busybox"));
    for (const name of APPLETS) symlinkSync("busybox", join(this.rootfs, "bin", name));
  }

  static async start(served: Served): Promise<RuntimeMachine> {
    // The private machine's fresh /sys hides the control groups that a container is put into.
    if (!existsSync("/sys/fs/cgroup/cpu") && !existsSync("/sys/fs/cgroup/cgroup.procs")) mount("umount", "/sys");
    for (const path of FOLDERS) {
      mkdirSync(path, { recursive: true });
      mount("mount", "-t", "tmpfs", "tmpfs", path);
    }
    mkdirSync("/run/flannel", { recursive: true });
    writeFileSync(
      "/run/flannel/subnet.env",
      "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
    );
    installCni({ binDir: BIN_DIR, confDir: CONF_DIR, socketPath: SOCKET });
    return new RuntimeMachine(served === "agent" ? await startCniServer({ socketPath: SOCKET }) : undefined);
  }

  /** Takes the place of the configuration that installCni() wrote. */
  configure(conflist: JsonObject): void {
    for (const name of readdirSync(CONF_DIR)) rmSync(join(CONF_DIR, name));
    writeFileSync(join(CONF_DIR, "10-test.conflist"), JSON.stringify(conflist));
  }

  /** Runs a program to its end. */
  async run(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Output> {
    const child = this.spawn(program, args, env);
    const [stdout, stderr]: [string[], string[]] = [[], []];
    child.stdout?.setEncoding("utf8").on("data", (text: string) => stdout.push(text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => stderr.push(text));
    const [code] = (await once(child, "close")) as [number | null];
    return { code, stdout: stdout.join(""), stderr: stderr.join("") };
  }

  /** As run(); what fails, fails the test with its own words. */
  async succeed(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(program, args, env);
    assert.equal(code, 0, `${program} ${args.join(" ")}: ${stderr}${stdout}`);
    return stdout;
  }

  spawn(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    this.#children.add(child);
    child.once("close", () => this.#children.delete(child));
    return child;
  }

  /**
   * Nothing of a container is left: no device but `links`, no address file, rule, cached result or namespace. A device
   * in a namespace that ended goes when the kernel gets to it.
   */
  async holdsOnly(links: readonly string[], rules: "no rules" | "rules" = "no rules"): Promise<void> {
    const expected = {
      links: [...links].sort(),
      files: [],
      namespaces: [],
      ...(rules === "no rules" && { rules: "" }),
    };
    const holds = (): object => ({ ...this.#holds(), ...(rules === "no rules" && { rules: this.rules() }) });
    const end = performance.now() + 20_000;
    while (!isDeepStrictEqual(holds(), expected) && performance.now() < end)
      await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(holds(), expected);
  }

  /** All of nftables, iptables-nft's among it. */
  rules(): string {
    return spawnSync("nft", ["-s", "list", "ruleset"], { encoding: "utf8" }).stdout;
  }

  #holds() {
    using host = Rtnl.open();
    const files = FOLDERS.filter((path) => path.startsWith("/var/lib/cni")).flatMap((path) =>
      readdirSync(path, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && !/^(lock|last_reserved_ip\.\d+|\.podpath-boot)$/.test(entry.name))
        .map((entry) => join(entry.path, entry.name)),
    );
    return {
      links: host
        .links()
        .map(({ name }) => name)
        .sort(),
      files,
      namespaces: existsSync("/run/netns") ? readdirSync("/run/netns") : [],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      [...this.#children].map((child) => {
        child.kill("SIGKILL");
        return once(child, "close");
      }),
    );
    await this.#server?.[Symbol.asyncDispose]();
    // Bridges outlive their containers, by the plugins' rules; the next test starts without.
    using host = Rtnl.open();
    const bridges = host.links().filter(({ kind }) => kind?.kind === "bridge");
    host.execute(bridges.map(({ index }) => deleteLink({ index })));
    removeCgroups(this.cgroup);
    for (const path of FOLDERS) mount("umount", "-l", path);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Answers HTTP with `text`, on every address of the machine. */
export async function serveText(text: string): Promise<{ readonly port: number } & AsyncDisposable> {
  const server = createServer((_, response) => response.end(text)).listen(0, "0.0.0.0");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** Asks again until `ask` gives something: a server in a container takes a moment to start. */
export async function eventually<T>(what: string, ask: () => T | Promise<T>, ms = 20_000): Promise<NonNullable<T>> {
  for (const end = performance.now() + ms; ; ) {
    const answer = await Promise.resolve(ask()).catch(() => undefined);
    if (answer) return answer;
    assert.ok(performance.now() < end, `${what}: not within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The empty groups of that name in every hierarchy. */
function removeCgroups(name: string): void {
  const hierarchies = ["/sys/fs/cgroup", ...readdirSync("/sys/fs/cgroup").map((one) => join("/sys/fs/cgroup", one))];
  for (const path of hierarchies.map((hierarchy) => join(hierarchy, name))) {
    if (!existsSync(path)) continue;
    const inner = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isDirectory());
    for (const entry of inner.reverse()) rmdirSync(join(entry.path, entry.name));
    rmdirSync(path);
  }
}

function mount(...[program, ...args]: [string, ...string[]]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  assert.equal(status, 0, `${program} ${args.join(" ")}: ${stderr}`);
}
