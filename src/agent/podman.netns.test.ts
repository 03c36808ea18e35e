// Debian's podman runs our plugins by its CNI backend, in the chain that `podman network create` writes: bridge, portmap,
// firewall, tuning. It asks each for its VERSION before every ADD and DEL.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { inPrivateMachine } from "../kernel/testing/private-machine.ts";
import {
  BIN_DIR,
  CONF_DIR,
  eventually,
  lacks,
  type Output,
  RuntimeMachine,
  type Served,
  serveText,
} from "./testing/runtime-machine.ts";

const skip = lacks("podman", "runc", "conmon", "busybox", "iptables");
const IMAGE = "localhost/busybox:1";
const BRIDGE = "cni-podman1";

class Podman {
  readonly machine: RuntimeMachine;
  readonly #env: Readonly<Record<string, string>>;

  private constructor(machine: RuntimeMachine) {
    this.machine = machine;
    const conf = join(machine.folder, "containers.conf");
    const lines = [
      "[network]",
      'network_backend = "cni"',
      `cni_plugin_dirs = ["${BIN_DIR}"]`,
      `network_config_dir = "${CONF_DIR}"`,
      "[engine]",
      'cgroup_manager = "cgroupfs"',
      'runtime = "runc"',
      'events_logger = "file"',
    ];
    writeFileSync(conf, `${lines.join("\n")}\n`);
    this.#env = { CONTAINERS_CONF: conf };
  }

  /** With an image, and the network `pods`, whose configuration podman itself writes. */
  static async start(machine: RuntimeMachine): Promise<Podman> {
    const podman = new Podman(machine);
    const archive = join(machine.folder, "rootfs.tar");
    writeFileSync(join(machine.rootfs, "index.html"), "hello from a container");
    await machine.succeed("tar", ["-C", machine.rootfs, "-cf", archive, "."]);
    await podman.succeed("import", archive, IMAGE);
    await podman.succeed("network", "create", "--subnet", "10.99.11.0/24", "pods");
    return podman;
  }

  call(...args: string[]): Promise<Output> {
    const at = (name: string): string => join(this.machine.folder, name);
    const storage = [
      "--root",
      at("storage"),
      "--runroot",
      at("runroot"),
      "--tmpdir",
      at("tmp"),
      "--storage-driver",
      "vfs",
    ];
    return this.machine.run("podman", [...storage, ...args], this.#env);
  }

  async succeed(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.call(...args);
    assert.equal(code, 0, `podman ${args.join(" ")}: ${stderr}${stdout}`);
    return stdout;
  }

  /** `podman run` of a command of busybox. Raising limits needs a right that root lacks in some sandboxes. */
  run(options: readonly string[], ...command: string[]): Promise<string> {
    const limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
    const cgroup = ["--cgroup-parent", `/${this.machine.cgroup}`];
    return this.succeed("run", "--network", "pods", ...limits, ...cgroup, ...options, IMAGE, ...command);
  }

  /** A container that serves its index.html on port 80. */
  serve(name: string, ...options: string[]): Promise<string> {
    return this.run(["-d", "--name", name, ...options], "httpd", "-f", "-p", "80", "-h", "/");
  }
}

/** The chains and tables that stay for the next container, and no rule of one that is gone. */
function assertNoRuleOf(machine: RuntimeMachine, address: string): void {
  assert.doesNotMatch(machine.rules(), new RegExp(address.replaceAll(".", "\\.")));
}

inPrivateMachine(import.meta.url, () => {
  for (const served of ["agent", "fallback"] satisfies Served[])
    test(`podman, ${served}: --ip, --mac-address; a container reaches gateway and host, and leaves nothing`, {
      skip,
    }, async () => {
      await using machine = await RuntimeMachine.start(served);
      const podman = await Podman.start(machine);
      await using server = await serveText("hello from the host");
      const ask = `ip addr show eth0; ip route; ping -c1 10.99.11.1; wget -qO- http://10.99.11.1:${server.port}/`;
      const given = ["--rm", "--ip", "10.99.11.77", "--mac-address", "02:11:22:33:44:55", "--cap-add", "NET_RAW"];
      const stdout = await podman.run(given, "sh", "-c", ask);
      for (const expected of [
        /link\/ether 02:11:22:33:44:55/,
        /inet 10\.99\.11\.77\/24 /,
        /default via 10\.99\.11\.1 dev eth0/,
        /1 packets received/,
        /hello from the host/,
      ])
        assert.match(stdout, expected);
      await machine.holdsOnly([BRIDGE, "lo"], "rules");
      assertNoRuleOf(machine, "10.99.11.77");
    });

  test("podman: -p publishes a port on the host; network reload and a firewall's flush keep it; rm -f takes it away", {
    skip,
  }, async () => {
    await using machine = await RuntimeMachine.start("agent");
    const podman = await Podman.start(machine);
    await podman.serve("web", "-p", "18080:80");
    // A connection that began while the rules were away stays without an answer: the next one has it.
    const ask = async (): Promise<string> =>
      (
        await fetch("http://127.0.0.1:18080/", { signal: AbortSignal.timeout(1000), headers: { connection: "close" } })
      ).text();
    const published = (): Promise<string> => eventually("the published port", ask);
    assert.equal(await published(), "hello from a container");
    await podman.succeed("network", "reload", "web");
    assert.equal(await published(), "hello from a container");
    await machine.succeed("nft", ["flush", "ruleset"]);
    assert.equal(await published(), "hello from a container");
    const inside = await podman.succeed("exec", "web", "wget", "-qO-", "http://10.99.11.1:18080/");
    assert.equal(inside, "hello from a container");
    await podman.succeed("rm", "-f", "-t", "0", "web");
    await assert.rejects(fetch("http://127.0.0.1:18080/"));
    await machine.holdsOnly([BRIDGE, "lo"], "rules");
    assertNoRuleOf(machine, "10.99.11.2");
  });

  test("podman: containers of one network reach each other, and stop and start keep the network whole", {
    skip,
  }, async () => {
    await using machine = await RuntimeMachine.start("agent");
    const podman = await Podman.start(machine);
    await podman.serve("web");
    const addressOf = async (): Promise<string> =>
      (await podman.succeed("inspect", "-f", "{{.NetworkSettings.Networks.pods.IPAddress}}", "web")).trim();
    const fetchIt = async (): Promise<string> => podman.run(["--rm"], "wget", "-qO-", `http://${await addressOf()}/`);
    assert.equal(await eventually("the neighbour", fetchIt), "hello from a container");
    await podman.succeed("stop", "-t", "0", "web");
    await podman.succeed("start", "web");
    assert.equal(await eventually("the neighbour after a restart", fetchIt), "hello from a container");
    await podman.succeed("rm", "-f", "-t", "0", "web");
    await machine.holdsOnly([BRIDGE, "lo"], "rules");
  });

  test("podman: the configuration it wrote is the chain that this is about", { skip }, async () => {
    await using machine = await RuntimeMachine.start("agent");
    await Podman.start(machine);
    const { plugins } = JSON.parse(readFileSync(join(CONF_DIR, "pods.conflist"), "utf8"));
    assert.deepEqual(
      plugins.map(({ type }: { type: string }) => type),
      ["bridge", "portmap", "firewall", "tuning"],
    );
  });
});
