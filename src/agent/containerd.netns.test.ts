// Debian's containerd runs our plugins (`ctr run --cni`): ADD with /proc/PID/ns/net, DEL with no namespace at all.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { inPrivateMachine } from "../kernel/testing/private-machine.ts";
import { eventually, lacks, type Output, RuntimeMachine, type Served, serveText } from "./testing/runtime-machine.ts";

const skip = lacks("containerd", "ctr", "runc", "busybox");

/** containerd without its Kubernetes half: `ctr` itself executes the plugins. */
class Containerd {
  readonly machine: RuntimeMachine;
  readonly #address: string;

  constructor(machine: RuntimeMachine) {
    this.machine = machine;
    const folder = join(machine.folder, "containerd");
    this.#address = join(folder, "containerd.sock");
    mkdirSync(folder);
    const lines = [
      "version = 2",
      `root = "${join(folder, "root")}"`,
      `state = "${join(folder, "state")}"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
      "[grpc]",
      `address = "${this.#address}"`,
    ];
    writeFileSync(join(folder, "config.toml"), `${lines.join("\n")}\n`);
    machine.spawn("containerd", ["--config", join(folder, "config.toml")]);
  }

  ready(): Promise<unknown> {
    return eventually("containerd", async () => (await this.ctr("version")).code === 0);
  }

  /** Its namespace is the control group of its containers. */
  ctr(...args: string[]): Promise<Output> {
    return this.machine.run("ctr", ["--address", this.#address, "--namespace", this.machine.cgroup, ...args]);
  }

  run(id: string, program: string, ...args: string[]): Promise<Output> {
    return this.ctr("run", "--rm", "--cni", "--rootfs", this.machine.rootfs, id, `/bin/${program}`, ...args);
  }

  async kill(id: string): Promise<void> {
    const { code, stderr } = await this.ctr("task", "kill", "-s", "KILL", id);
    assert.equal(code, 0, stderr);
  }
}

inPrivateMachine(import.meta.url, () => {
  for (const served of ["agent", "fallback"] satisfies Served[])
    test(`containerd, ${served}: a container has its address and routes, and reaches gateway and host`, {
      skip,
    }, async () => {
      await using machine = await RuntimeMachine.start(served);
      const containerd = new Containerd(machine);
      await containerd.ready();
      await using server = await serveText("hello from the host");
      const ask = `ip addr show eth0; ip route; ping -c1 10.244.1.1; wget -qO- http://10.244.1.1:${server.port}/`;
      const { code, stdout, stderr } = await containerd.run("one", "sh", "-c", ask);
      assert.equal(code, 0, stderr + stdout);
      for (const expected of [
        /mtu 1450 /,
        /inet 10\.244\.1\.2\/24 /,
        /default via 10\.244\.1\.1 dev eth0/,
        /10\.244\.0\.0\/16 via 10\.244\.1\.1 dev eth0/,
        /1 packets received/,
        /hello from the host/,
      ])
        assert.match(stdout, expected);
      await machine.holdsOnly(["cni0", "lo"]);
    });

  test("containerd: containers reach each other, the host reaches them, and a killed one leaves nothing", {
    skip,
  }, async () => {
    await using machine = await RuntimeMachine.start("agent");
    const containerd = new Containerd(machine);
    await containerd.ready();
    writeFileSync(join(machine.rootfs, "index.html"), "hello from a container");
    const serving = containerd.run("server", "httpd", "-f", "-p", "8080", "-h", "/");
    const fromHost = await eventually("the container's server", async () =>
      (await fetch("http://10.244.1.2:8080/")).text(),
    );
    assert.equal(fromHost, "hello from a container");
    const { stdout, stderr } = await containerd.run("client", "wget", "-qO-", "http://10.244.1.2:8080/");
    assert.equal(stdout, "hello from a container", stderr);
    await containerd.kill("server");
    assert.equal((await serving).code, 137);
    await machine.holdsOnly(["cni0", "lo"]);
  });

  test("containerd: eight containers at once have eight addresses", { skip }, async () => {
    await using machine = await RuntimeMachine.start("agent");
    const containerd = new Containerd(machine);
    await containerd.ready();
    const ids = Array.from({ length: 8 }, (_, i) => `c${i}`);
    const outputs = await Promise.all(ids.map((id) => containerd.run(id, "sh", "-c", "ip addr show eth0; sleep 1")));
    const addresses = outputs.map(({ stdout, stderr }) => {
      const [, address] = /inet (10\.244\.1\.\d+)\/24/.exec(stdout) ?? assert.fail(stderr);
      return address;
    });
    assert.equal(new Set(addresses).size, ids.length);
    await machine.holdsOnly(["cni0", "lo"]);
  });

  test("containerd: a container whose network cannot be made does not start, and the reason is told", {
    skip,
  }, async () => {
    await using machine = await RuntimeMachine.start("agent");
    const containerd = new Containerd(machine);
    await containerd.ready();
    writeFileSync("/run/flannel/subnet.env", "");
    const { code, stderr } = await containerd.run("unlucky", "echo", "started");
    assert.notEqual(code, 0);
    assert.match(stderr, /subnet\.env.*FLANNEL_NETWORK/);
    // The task was there before its network was asked for, and ctr leaves it.
    assert.equal((await containerd.ctr("task", "delete", "--force", "unlucky")).code, 0);
    await machine.holdsOnly(["lo"]);
  });
});
