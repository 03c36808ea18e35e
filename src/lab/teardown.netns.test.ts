import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, test } from "node:test";
import { isRunning } from "../kernel/index.ts";
import { inPrivateMachine, machineState } from "../kernel/testing/private-machine.ts";
import type { LabInfo } from "./messages.ts";
import { podpath, startPodpath } from "./testing/podpath.ts";

inPrivateMachine(import.meta.url, () => {
  // Whatever a test asserts, no lab of its outlives it.
  after(async () => void (await podpath(["lab", "down"])));

  async function up(...args: string[]): Promise<LabInfo> {
    const { code, stdout, stderr } = await podpath(["lab", "up", ...args]);
    assert.equal(code, 0, stdout + stderr);
    const ps = await podpath(["lab", "ps", "--json"]);
    return JSON.parse(ps.stdout) as LabInfo;
  }

  /** The last to go is process 1, which the kernel lets go only when all the others have. */
  async function untilGone({ processes }: LabInfo): Promise<void> {
    while (isRunning(processes.unshare) || isRunning(processes.init))
      await new Promise((resolve) => setTimeout(resolve, 5));
  }

  test("lab down leaves the machine as it was", async () => {
    const before = machineState();
    const info = await up();
    assert.equal(info.state, "running");
    assert.deepEqual({ ...machineState(), processes: [] }, { ...before, processes: [] }, "not even while it runs");
    const { code, stderr } = await podpath(["lab", "down"]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(machineState(), before);
  });

  for (const victim of ["supervisor", "init", "unshare"] as const)
    test(`kill -9 of the ${victim} leaves the machine as it was`, async () => {
      const before = machineState();
      const info = await up("--nodes", "1");
      process.kill(info.processes[victim].pid, "SIGKILL");
      await untilGone(info);
      assert.deepEqual(machineState(), before);
      const next = await podpath(["lab", "ps"]);
      assert.equal(next.code, 1);
      assert.match(next.stderr, /none is running/);
    });

  for (const step of ["namespaces", "store", "agents"])
    test(`Ctrl-C after the step "${step}" of lab up leaves the machine as it was`, async () => {
      const before = machineState();
      const running = startPodpath(["lab", "up"]);
      await running.said(new RegExp(`${step}.* ms`));
      running.child.kill("SIGINT");
      const { code, stderr } = await running.finished;
      assert.equal(code, 1);
      assert.equal(stderr, "podpath: Cannot bring the lab up: it was interrupted\n");
      assert.deepEqual(machineState(), before);
    });

  test("kill -9 of lab up itself leaves the machine as it was", async () => {
    const before = machineState();
    const running = startPodpath(["lab", "up"]);
    await running.said(/fabric.* ms/);
    running.child.kill("SIGKILL");
    await running.finished;
    // There is no one left to ask: the processes end when the lifeline does.
    while (machineState().processes.length > before.processes.length)
      await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(machineState(), before);
  });

  test("Ctrl-C of lab up --foreground ends the lab", async () => {
    const before = machineState();
    const running = startPodpath(["lab", "up", "--foreground", "--nodes", "1"]);
    await running.said(/Ctrl-C takes it down/);
    running.child.kill("SIGINT");
    const { code, stderr } = await running.finished;
    assert.equal(code, 0, stderr);
    assert.deepEqual(machineState(), before);
  });

  test("lab start ends the lab when the script that started it is killed", async () => {
    const before = machineState();
    const script = `require("node:child_process").spawn(process.argv[1], process.argv.slice(2), {
      stdio: ["inherit", "inherit", "inherit", "ipc"],
    })`;
    const running = startPodpath(["lab", "start", "--nodes", "1"], { as: [process.execPath, "-e", script] });
    await running.said(/store.* ms/);
    running.child.kill("SIGKILL");
    // Its pipes are open until podpath itself has ended.
    const { stderr } = await running.finished;
    assert.equal(stderr, "podpath: Cannot bring the lab up: it was interrupted\n");
    assert.deepEqual(machineState(), before);
  });

  test("a lab that cannot be built leaves nothing, and says why in one line", async () => {
    const before = machineState();
    const etcd = spawnSync("which", ["etcd"], { encoding: "utf8" }).stdout.trim();
    if (etcd) {
      spawnSync("mount", ["--bind", "/dev/null", etcd]);
      const without = await podpath(["lab", "up", "--etcd"]);
      spawnSync("umount", [etcd]);
      assert.equal(without.code, 1);
      assert.equal(without.stderr, "podpath: Cannot start a lab: etcd not found (apt-get install etcd-server)\n");
    }
    const noFile = await podpath(["lab", "up", "-f", "/nowhere.yaml"]);
    assert.equal(noFile.code, 1);
    assert.match(noFile.stderr, /^podpath: Cannot read \/nowhere\.yaml: ENOENT.*\n$/);
    assert.deepEqual(machineState(), before);
  });

  test("a machine that allows no namespaces is told so in one line", async () => {
    const before = machineState();
    const forbid = 'echo 0 >/proc/sys/user/max_net_namespaces; exec "$@"';
    const as = ["unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh"];
    const { code, stderr } = await podpath(["lab", "up"], { as, env: { PODPATH_STATE: "/run/forbidden" } });
    assert.equal(code, 1);
    assert.match(stderr, /^podpath: Cannot .*\n$/);
    assert.match(stderr, /max_\*_namespaces|PODPATH_STATE/);
    assert.deepEqual(machineState(), before);
  });

  test("root without CAP_SYS_ADMIN has a rootless lab", async () => {
    const as = ["setpriv", "--bounding-set=-sys_admin"];
    const { code, stdout, stderr } = await podpath(["lab", "up", "--nodes", "1"], { as });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /rootless/);
    assert.equal((await podpath(["lab", "down"], { as })).code, 0);
  });

  test("a second lab of one name is refused, one of another name runs beside it", async () => {
    const before = machineState();
    await up("--nodes", "1");
    const second = await podpath(["lab", "up"]);
    assert.equal(second.code, 1);
    assert.match(
      second.stderr,
      /^podpath: Cannot start a lab called "lab": there is one already \(.*--name NAME.*\)\n$/,
    );
    const other = await podpath(["lab", "up", "--name", "other", "--nodes", "1"]);
    assert.equal(other.code, 0, other.stderr);
    const which = await podpath(["lab", "exec", "node1", "true"]);
    assert.match(which.stderr, /there are lab, other \(say --name NAME\)/);
    for (const name of ["lab", "other"])
      assert.equal((await podpath(["lab", "exec", "--name", name, "node1", "hostname"])).stdout, "node1\n");
    for (const name of ["lab", "other"]) assert.equal((await podpath(["lab", "down", "--name", name])).code, 0);
    assert.deepEqual(machineState(), before);
  });
});
