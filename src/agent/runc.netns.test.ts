// Debian's runc runs our plugins by its hooks: ADD when the container's namespace is there, DEL when the container is gone.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { inPrivateMachine } from "../kernel/testing/private-machine.ts";
import {
  BIN_DIR,
  eventually,
  lacks,
  type Output,
  RuntimeMachine,
  type Served,
  serveText,
} from "./testing/runtime-machine.ts";

const skip = lacks("runc", "busybox");

/** A hook: runc gives it the container's state as JSON, with pid 0 once the container is gone. */
const HOOK = `#!/bin/sh -e
state=$(cat)
export CNI_COMMAND="$1" CNI_IFNAME=eth0 CNI_PATH=${BIN_DIR}
export CNI_CONTAINERID=$(echo "$state" | sed 's/.*"id":"\\([^"]*\\)".*/\\1/')
pid=$(echo "$state" | sed -n 's/.*"pid":\\([1-9][0-9]*\\).*/\\1/p')
export CNI_NETNS="\${pid:+/proc/$pid/ns/net}"
exec ${BIN_DIR}/flannel <"$2" >"$3.$CNI_COMMAND"
`;

class Runc {
  readonly machine: RuntimeMachine;
  readonly #hook: string;
  readonly #conf: string;

  constructor(machine: RuntimeMachine) {
    this.machine = machine;
    this.#hook = join(machine.folder, "hook");
    this.#conf = join(machine.folder, "conf.json");
    writeFileSync(this.#hook, HOOK, { mode: 0o755 });
    const delegate = { hairpinMode: true, isDefaultGateway: true };
    writeFileSync(this.#conf, JSON.stringify({ cniVersion: "1.0.0", name: "cbr0", type: "flannel", delegate }));
  }

  runc(...args: string[]): Promise<Output> {
    return this.machine.run("runc", ["--root", join(this.machine.folder, "runc"), ...args]);
  }

  async run(id: string, ...args: string[]): Promise<Output> {
    const bundle = join(this.machine.folder, id);
    mkdirSync(bundle);
    await this.machine.succeed("runc", ["spec", "--bundle", bundle]);
    const config = JSON.parse(readFileSync(join(bundle, "config.json"), "utf8"));
    // Raising limits needs a right that root lacks in some sandboxes.
    const { rlimits: _, ...process } = config.process;
    for (const rights of Object.values(process.capabilities as Record<string, string[]>)) rights.push("CAP_NET_RAW");
    const hook = (command: string): object[] => [
      { path: this.#hook, args: ["hook", command, this.#conf, join(bundle, "result")] },
    ];
    const adapted = {
      ...config,
      process: { ...process, terminal: false, args },
      root: { path: this.machine.rootfs, readonly: true },
      linux: { ...config.linux, cgroupsPath: `/${this.machine.cgroup}/${id}` },
      hooks: { createRuntime: hook("ADD"), poststop: hook("DEL") },
    };
    writeFileSync(join(bundle, "config.json"), JSON.stringify(adapted));
    return this.runc("run", "--bundle", bundle, id);
  }

  /** What the plugin said to a container's hook. */
  said(id: string, command: "ADD" | "DEL"): string {
    return readFileSync(join(this.machine.folder, id, `result.${command}`), "utf8");
  }
}

inPrivateMachine(import.meta.url, () => {
  for (const served of ["agent", "fallback"] satisfies Served[])
    test(`runc, ${served}: a container has its address and reaches gateway and host`, { skip }, async () => {
      await using machine = await RuntimeMachine.start(served);
      const runc = new Runc(machine);
      await using server = await serveText("hello from the host");
      const ask = `ip addr show eth0; ip route; ping -c1 10.244.1.1; wget -qO- http://10.244.1.1:${server.port}/`;
      const { code, stdout, stderr } = await runc.run("one", "sh", "-c", ask);
      assert.equal(code, 0, stderr + stdout);
      for (const expected of [
        /inet 10\.244\.1\.2\/24 /,
        /default via 10\.244\.1\.1/,
        /1 packets received/,
        /hello from/,
      ])
        assert.match(stdout, expected);
      const { ips } = JSON.parse(runc.said("one", "ADD"));
      assert.equal(ips[0].address, "10.244.1.2/24");
      assert.equal(runc.said("one", "DEL"), "");
      await machine.holdsOnly(["cni0", "lo"]);
    });

  test("runc: a killed container leaves nothing", { skip }, async () => {
    await using machine = await RuntimeMachine.start("agent");
    const runc = new Runc(machine);
    const running = runc.run("server", "httpd", "-f", "-p", "8080", "-h", "/etc");
    const status = await eventually(
      "the container's server",
      async () => (await fetch("http://10.244.1.2:8080/")).status,
    );
    assert.equal(status, 404);
    assert.equal((await runc.runc("kill", "server", "KILL")).code, 0);
    assert.equal((await running).code, 137);
    await machine.holdsOnly(["cni0", "lo"]);
  });

  test("runc: a container whose network cannot be made does not start", { skip }, async () => {
    await using machine = await RuntimeMachine.start("agent");
    const runc = new Runc(machine);
    writeFileSync("/run/flannel/subnet.env", "");
    const { code, stdout } = await runc.run("unlucky", "echo", "started");
    assert.notEqual(code, 0);
    assert.equal(stdout, "");
    assert.match(JSON.parse(runc.said("unlucky", "ADD")).msg, /subnet\.env/);
    await machine.holdsOnly(["lo"]);
  });
});
