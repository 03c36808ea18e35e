import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { NetNs, Rtnl, watchRtnl } from "../kernel/index.ts";
import { inPrivateMachine } from "../kernel/testing/private-machine.ts";
import type { LabInfo } from "./messages.ts";
import { machinePid } from "./testing/lab-process.ts";
import { type Finished, podpath, startPodpath } from "./testing/podpath.ts";
import { until } from "./wait.ts";

const CONTAINER = fileURLToPath(new URL("../cmd/container.js", import.meta.url));

interface FlowResult {
  readonly sent: number;
  readonly lost: number;
}

async function lab(...args: string[]): Promise<Finished> {
  const finished = await podpath(["lab", ...args]);
  assert.equal(finished.code, 0, finished.stdout + finished.stderr);
  return finished;
}

async function labInfo(): Promise<LabInfo> {
  return JSON.parse((await lab("ps", "--json")).stdout) as LabInfo;
}

/** etcdctl on the store's socket, from the machine. */
function etcdctl(info: LabInfo, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync("etcdctl", ["--endpoints", info.store.unix, ...args], {
    cwd: info.stateDir,
    env: { ...process.env, ETCDCTL_API: "3" },
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  return stdout;
}

const hasEtcdctl = spawnSync("etcdctl", ["version"]).status === 0;
const hasEtcd = spawnSync("etcd", ["--version"]).status === 0;

/** Waits until node1's routes are as `isThere` wants them. */
async function untilRoutes(info: LabInfo, what: string, isThere: (destinations: string[]) => boolean): Promise<void> {
  const node = info.nodes.find(({ name }) => name === "node1");
  using ns = NetNs.ofPid(machinePid(info, node?.pid ?? 0));
  using rtnl = Rtnl.open(ns);
  await until({
    what,
    deadlineMs: 30_000,
    isThere: () =>
      isThere(rtnl.routes({ family: 4 }).flatMap(({ dst }) => (dst ? [`${dst.address}/${dst.length}`] : []))),
    subscribe: (onChange) => watchRtnl(ns, onChange, onChange),
  });
}

/** An established flow between two pods for as long as `f` runs, a ping each 5 ms, and what of it was lost. */
async function duringFlow(protocol: string, info: LabInfo, f: () => Promise<void>): Promise<FlowResult> {
  const [address = ""] = info.pods.find(({ name }) => name === "pod-c")?.ips ?? [];
  const probe = [process.execPath, CONTAINER, "probe", "--protocol", protocol, "--host", address];
  const flow = startPodpath([
    "lab",
    "exec",
    "pod-a",
    "--",
    ...probe,
    "--count",
    "1000000",
    "--interval",
    "5",
    "--verbose",
  ]);
  await flow.said(/first answer/);
  await f();
  flow.child.kill("SIGTERM");
  const { stdout, stderr } = await flow.finished;
  const last = stdout.trim().split("\n").at(-1) ?? "";
  assert.match(last, /^\{/, stdout + stderr);
  return JSON.parse(last) as FlowResult;
}

/** What must not change when an agent is replaced. */
async function identity(node: string): Promise<string> {
  const { stdout } = await lab(
    "exec",
    node,
    "--",
    "cat",
    "/sys/class/net/flannel.1/address",
    "/run/flannel/subnet.env",
  );
  return stdout;
}

inPrivateMachine(import.meta.url, () => {
  after(async () => void (await podpath(["lab", "down"])));

  describe("a lab with the embedded store", () => {
    before(async () => void (await lab("up")));
    after(async () => void (await lab("down")));

    for (const protocol of ["udp", "tcp"])
      test(`kill -9 of every agent in turn loses no packet of an established ${protocol} flow, and changes no MAC and no subnet`, async () => {
        const nodes = ["gateway", "node1", "node2"];
        const identities = await Promise.all(nodes.map(identity));
        const { sent, lost } = await duringFlow(protocol, await labInfo(), async () => {
          for (const node of nodes) await lab("kill", `agent/${node}`, "--wait");
        });
        assert.ok(sent > 100, `only ${sent} pings were sent`);
        assert.equal(lost, 0);
        assert.deepEqual(await Promise.all(nodes.map(identity)), identities);
        const info = await labInfo();
        for (const { agent } of info.nodes) if (agent) assert.equal(agent.state, "running");
      });

    test("a stopped store loses no packet, also not when an agent is killed meanwhile; it converges when it is back", async () => {
      const { sent, lost } = await duringFlow("udp", await labInfo(), async () => {
        await lab("kill", "store", "-s", "STOP");
        const { agent } = (await labInfo()).nodes.find(({ name }) => name === "node2") ?? {};
        await lab("kill", "agent/node2");
        await new Promise((resolve) => setTimeout(resolve, 5000));
        const during = (await labInfo()).nodes.find(({ name }) => name === "node2")?.agent;
        assert.notEqual(during?.pid, agent?.pid);
        await lab("kill", "store", "-s", "CONT");
      });
      assert.ok(sent > 500, `only ${sent} pings were sent`);
      assert.equal(lost, 0);
    });

    test("a killed store comes back with what it held, and its watchers with it", { skip: !hasEtcdctl }, async () => {
      const before = etcdctl(await labInfo(), "get", "--prefix", "/coreos.com/network/subnets", "--keys-only");
      await lab("kill", "store", "--wait");
      const info = await labInfo();
      const key = "/coreos.com/network/subnets/10.244.250.0-24";
      const lease = {
        PublicIP: "192.168.100.99",
        PublicIPv6: null,
        BackendType: "vxlan",
        BackendData: { VNI: 1, VtepMAC: "02:00:00:00:00:99" },
      };
      assert.equal(etcdctl(info, "get", "--prefix", "/coreos.com/network/subnets", "--keys-only"), before);
      etcdctl(info, "put", key, JSON.stringify(lease));
      await untilRoutes(info, "see a new peer's route", (routes) => routes.includes("10.244.250.0/24"));
      etcdctl(info, "del", key);
      await untilRoutes(info, "see the peer's route go", (routes) => !routes.includes("10.244.250.0/24"));
    });

    test("etcdctl reads Flannel's keys and values from outside the lab", { skip: !hasEtcdctl }, async () => {
      assertFlannelShaped(await labInfo());
    });

    test("a deleted pod leaves nothing on its node", async () => {
      const list = [
        "exec",
        "node1",
        "--",
        "sh",
        "-c",
        "ip -br link; ls /run/netns /var/lib/cni/results /var/lib/cni/networks/*",
      ];
      const {
        hostVeth = "?",
        netns,
        ips,
      } = (await labInfo()).pods.find(({ name }) => name === "pod-b") ?? { ips: [], netns: "?" };
      const traces = [hostVeth, netns.slice(netns.lastIndexOf("/") + 1), ...ips];
      const present = (await lab(...list)).stdout;
      for (const trace of traces) assert.ok(present.includes(trace), `${trace} in ${present}`);
      await lab("kill", "store", "-s", "STOP");
      assert.equal((await podpath(["lab", "delete", "pod-b"])).code, 1);
      await lab("kill", "store", "-s", "CONT");
      assert.ok((await labInfo()).pods.some(({ name }) => name === "pod-b"));
      await lab("delete", "pod-b");
      const left = (await lab(...list)).stdout;
      for (const trace of traces) assert.ok(!left.includes(trace), `${trace} in ${left}`);
    });
  });

  describe("a lab with etcd", { skip: !hasEtcd && "etcd is not installed (Debian: etcd-server)" }, () => {
    before(async () => void (await lab("up", "--etcd", "--nodes", "1")));
    after(async () => void (await lab("down")));

    test("etcdctl reads Flannel's keys and values", { skip: !hasEtcdctl }, async () => {
      const info = await labInfo();
      assert.equal(info.store.kind, "etcd");
      assertFlannelShaped(info);
    });
  });
});

function assertFlannelShaped(info: LabInfo): void {
  const lines = etcdctl(info, "get", "--prefix", "/coreos.com/network").trim().split("\n");
  assert.deepEqual(lines.slice(0, 2), [
    "/coreos.com/network/config",
    '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}',
  ]);
  const leases = lines.slice(2);
  assert.equal(leases.length, 2 * info.nodes.filter(({ agent }) => agent).length);
  for (const [i, line] of leases.entries())
    assert.match(
      line,
      i % 2 === 0
        ? /^\/coreos\.com\/network\/subnets\/10\.244\.\d+\.0-24$/
        : /^\{"PublicIP":"192\.168\.100\.\d+","PublicIPv6":null,"BackendType":"vxlan","BackendData":\{"VNI":1,"VtepMAC":"([0-9a-f]{2}:){5}[0-9a-f]{2}"\}\}$/,
    );
}
