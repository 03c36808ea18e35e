// A node for tests: a network namespace that this process moves into for good (node:test gives each file a process of
// its own), pods as namespaces, and every file in one temporary folder.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { JsonObject } from "../../formats/cni/index.ts";
import { formatPrefix } from "../../formats/netip/index.ts";
import { createNetNs, createUnnamedNetNs, deleteNetNs, NetNs, Rtnl } from "../../kernel/index.ts";
import { check, mount, setns, unshare } from "../../kernel/sys.ts";
import type { Host } from "../host.ts";
import { type PluginReply, runPlugin } from "../skel.ts";

const CLONE_NEWNET = 0x40000000;
const CLONE_NEWNS = 0x20000;
const MS_REC_PRIVATE = 0x44000;

/** Why this machine cannot run tests in namespaces; false when it can. For a test's `skip`. */
export function cannotMakeNamespaces(): string | false {
  try {
    createUnnamedNetNs().close();
    return false;
  } catch (e) {
    return `no network namespaces here: ${e instanceof Error ? e.message : e}`;
  }
}

interface DocumentInterface extends JsonObject {
  readonly name: string;
  readonly mac: string;
  readonly sandbox?: string;
}

/** Any document of the protocol: each test looks at what its own has. */
export interface Document extends JsonObject {
  readonly code: number;
  readonly msg: string;
  readonly details?: string;
  /** The bridge, the host's end, the pod's. */
  readonly interfaces: readonly [DocumentInterface, DocumentInterface, DocumentInterface];
  readonly ips: readonly [{ readonly interface: number; readonly address: string; readonly gateway: string }];
  readonly routes: readonly { readonly dst: string; readonly gw?: string }[];
}

export interface Answer extends PluginReply {
  /** stdout as JSON; an empty object when there is none. */
  readonly json: Document;
}

const skip = cannotMakeNamespaces();

/** A test with a node of its own, which is removed whatever happens. */
export function netnsTest(name: string, body: (node: FakeNode) => Promise<void>): void {
  test(name, { skip }, async () => {
    using node = new FakeNode();
    await body(node);
  });
}

export function ok(answer: Answer): Document {
  assert.equal(answer.exitCode, 0, answer.stdout);
  return answer.json;
}

export function failsWith(answer: Answer, code: number, text: RegExp): void {
  assert.equal(answer.exitCode, 1, answer.stdout);
  assert.equal(answer.json.code, code, answer.stdout);
  assert.match(`${answer.json.msg} ${answer.json.details ?? ""}`, text);
}

export class FakeNode implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "podpath-cni-"));
  readonly #home: NetNs = NetNs.self();
  readonly #own: NetNs = createUnnamedNetNs();
  readonly #pods = new Set<string>();

  constructor() {
    // Mounts of its own: the pods' names go with the process, even if it is killed.
    check(unshare(CLONE_NEWNS), "make the test a mount namespace");
    check(mount(null, "/", null, MS_REC_PRIVATE, null), "keep the test's mounts to itself");
    // The records of rules.
    check(mount("tmpfs", "/run", "tmpfs", 0, null), "give the test a /run");
    // An agent looks here for addresses of before a reboot; the machine's own are none of the test's business.
    if (existsSync("/var/lib/cni"))
      check(mount("tmpfs", "/var/lib/cni", "tmpfs", 0, null), "give the test a /var/lib/cni");
    this.enter();
    this.writeSubnetEnv("10.244.1.1/24");
  }

  /** Moves this thread here, and with it whatever it spawns. */
  enter(): void {
    check(setns(this.#own.fd, CLONE_NEWNET), "enter the test's namespace");
  }

  writeSubnetEnv(subnet: string): void {
    const lines = [
      "FLANNEL_NETWORK=10.244.0.0/16",
      `FLANNEL_SUBNET=${subnet}`,
      "FLANNEL_MTU=1450",
      "FLANNEL_IPMASQ=true",
    ];
    writeFileSync(this.path("subnet.env"), `${lines.join("\n")}\n`);
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  /** The path of a pod's namespace, made when it is new. */
  pod(name: string): string {
    const path = this.path("netns", name);
    if (this.#pods.has(path)) return path;
    mkdirSync(this.path("netns"), { recursive: true });
    createNetNs(path);
    this.#pods.add(path);
    return path;
  }

  inPod<T>(name: string, look: (rtnl: Rtnl) => T): T {
    using netns = NetNs.open(this.pod(name));
    using rtnl = Rtnl.open(netns);
    return look(rtnl);
  }

  deletePod(name: string): void {
    const path = this.path("netns", name);
    deleteNetNs(path);
    this.#pods.delete(path);
  }

  /** Flannel's own network configuration, its files in this folder. */
  flannelConf(more: JsonObject = {}): JsonObject {
    return {
      cniVersion: "1.0.0",
      name: "cbr0",
      type: "flannel",
      subnetFile: this.path("subnet.env"),
      dataDir: this.path("flannel"),
      ipam: { dataDir: this.path("networks") },
      delegate: { hairpinMode: true, isDefaultGateway: true },
      ...more,
    };
  }

  /** What flannel makes of it: for the bridge plugin alone, ours or the reference. */
  bridgeConf(more: JsonObject = {}): JsonObject {
    return {
      cniVersion: "1.0.0",
      hairpinMode: true,
      ipMasq: false,
      ipam: {
        dataDir: this.path("networks"),
        ranges: [[{ subnet: "10.244.1.0/24" }]],
        routes: [{ dst: "10.244.0.0/16" }],
        type: "host-local",
      },
      isDefaultGateway: true,
      isGateway: true,
      mtu: 1450,
      name: "cbr0",
      type: "bridge",
      ...more,
    };
  }

  /** A result for a chained plugin that shall fail before it looks at anything. */
  anyResult(pod: string): JsonObject {
    return {
      cniVersion: "1.0.0",
      interfaces: [{ name: "eth0", sandbox: this.pod(pod) }],
      ips: [{ interface: 0, address: "10.244.1.2/24" }],
    };
  }

  environment(command: string, pod: string, more: Record<string, string> = {}): Record<string, string> {
    return {
      CNI_COMMAND: command,
      CNI_CONTAINERID: pod,
      CNI_NETNS: this.path("netns", pod),
      CNI_IFNAME: "eth0",
      CNI_PATH: this.path("bin"),
      ...more,
    };
  }

  /** Calls the plugin that `conf` names by its type, in this process; with a host as an agent has it. */
  async call(
    command: string,
    pod: string,
    conf: JsonObject,
    env: Record<string, string> = {},
    host?: Host,
  ): Promise<Answer> {
    const request = { name: String(conf.type), env: this.environment(command, pod, env), stdin: JSON.stringify(conf) };
    return answer(await runPlugin(request, host));
  }

  /** The names of the address files. */
  reserved(network = "cbr0"): string[] {
    return readdirSync(this.path("networks", network))
      .filter((name) => /^\d+\./.test(name))
      .sort();
  }

  owner(ip: string, network = "cbr0"): string {
    return readFileSync(this.path("networks", network, ip), "utf8");
  }

  /** Everything a failed call may have left behind: devices, addresses, files; on the node and in the pods. */
  state(): { links: string[]; addresses: string[]; pods: unknown[]; files: string[] } {
    using host = Rtnl.open();
    const pods = [...this.#pods].map((path) => {
      using netns = NetNs.open(path);
      using rtnl = Rtnl.open(netns);
      return [path, rtnl.links().map(({ name }) => name), rtnl.routes().filter(({ family }) => family === 4)];
    });
    return {
      links: host.links().map(({ name }) => name),
      addresses: host.addresses().map(({ prefix }) => formatPrefix(prefix)),
      pods,
      files: files(this.folder).filter((name) => !/lock$|last_reserved_ip|\.podpath-boot$/.test(name)),
    };
  }

  [Symbol.dispose](): void {
    for (const path of this.#pods) deleteNetNs(path);
    check(setns(this.#home.fd, CLONE_NEWNET), "go home from the test's namespace");
    this.#own.close();
    this.#home.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function answer(reply: PluginReply): Answer {
  return { ...reply, json: JSON.parse(reply.stdout || "{}") };
}

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.path, entry.name).slice(folder.length + 1))
    .sort();
}
