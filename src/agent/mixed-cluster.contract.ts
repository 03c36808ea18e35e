// Flannel's own daemon on some nodes and our agent on others, sharing one store: what must hold with every backend.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { AgentProcess } from "./testing/cluster.ts";
import type { ServedStore } from "./testing/cluster-stores.ts";
import { whyNoFlanneld } from "./testing/flanneld.ts";
import { Flow } from "./testing/flow.ts";
import { type Member, MixedCluster } from "./testing/mixed-cluster.ts";
import { assertVteps } from "./testing/vteps.ts";

const IPV4 = { Network: "10.244.0.0/16" };
const DUAL = { ...IPV4, EnableIPv6: true, IPv6Network: "2001:db8:42::/48" };

interface Row {
  readonly backend: string;
  readonly config: object;
  /** Whether two of the four nodes are behind a router. */
  readonly isRouted?: boolean;
  /** Whether Flannel's daemon carries the packets itself, so that none pass while it is away. */
  readonly isInProcess?: boolean;
}

const ROWS: readonly Row[] = [
  { backend: "vxlan", config: { ...IPV4, Backend: { Type: "vxlan" } } },
  {
    backend: "vxlan with DirectRouting",
    config: { ...IPV4, Backend: { Type: "vxlan", DirectRouting: true } },
    isRouted: true,
  },
  { backend: "host-gw", config: { ...IPV4, Backend: { Type: "host-gw" } } },
  { backend: "udp", config: { ...IPV4, Backend: { Type: "udp" } }, isInProcess: true },
  { backend: "vxlan, dual-stack", config: { ...DUAL, Backend: { Type: "vxlan" } } },
  { backend: "host-gw, dual-stack", config: { ...DUAL, Backend: { Type: "host-gw" } } },
];

export function mixedClusterContract(store: ServedStore): void {
  for (const row of ROWS)
    describe(`a mixed cluster: ${row.backend}, ${store.name}`, { skip: whyNoFlanneld() || store.skip }, () => {
      let mixed: MixedCluster;
      let [go, our, go2, our2] = [] as unknown as [Member, Member, Member, Member];

      before(async () => {
        mixed = await MixedCluster.start({
          config: row.config,
          serve: store.serve,
          hasRoutePerPeer: !row.isInProcess,
        });
        if (row.isRouted) mixed.cluster.addRouter();
        const far = row.isRouted ? 101 : 100;
        [go, our] = [await mixed.join("flannel", 1), await mixed.join("podpath", 2)];
        [go2, our2] = [await mixed.join("flannel", 3, far), await mixed.join("podpath", 4, far)];
      });
      after(() => mixed?.[Symbol.asyncDispose]());

      const assertWhole = async (): Promise<void> => {
        await mixed.settled();
        await mixed.assertConnected();
        if (row.backend.startsWith("vxlan")) await assertVteps(mixed, row.isRouted === true);
      };

      it("connects pods in all directions", assertWhole);

      it("loses no packet of a flow while either daemon is restarted or killed", async () => {
        const kept = row.isInProcess ? [our] : [go, our];
        for (const address of our.pod.addresses) {
          await using flow = await Flow.open(go.pod.ns, our.pod.ns, address);
          await using back = await Flow.open(our2.pod.ns, go.pod.ns, addressLike(go, address));
          const lost = (): number => flow.retransmissions() + back.retransmissions();
          // Flannel's pods have to find out the MTU of IPv6, which costs a packet each time.
          const lostBefore = lost();
          for (const signal of ["SIGTERM", "SIGKILL"] as const)
            for (const member of kept) {
              const ended = await member.daemon.kill(signal);
              assert.deepEqual(ended, signal === "SIGTERM" ? { code: 0, signal: null } : { code: null, signal });
              await Promise.all([flow.more(20), back.more(20)]);
              await mixed.startAgain(member);
              await Promise.all([flow.more(20), back.more(20)]);
            }
          // A process that carries packets may be late on a busy machine, and TCP sends again what is not lost.
          if (!row.isInProcess) assert.equal(lost(), lostBefore, address);
        }
        const { datapath } = await (our.daemon as AgentProcess).status();
        assert.equal(datapath.changes, 0, "our restart finds all as it should be");
        await assertWhole();
      });

      it("comes back when Flannel's daemon does", { skip: !row.isInProcess && "it was never away" }, async () => {
        await using flow = await Flow.open(go.pod.ns, our.pod.ns, our.pod.addresses[0] ?? "");
        for (const signal of ["SIGTERM", "SIGKILL"] as const) {
          await go.daemon.kill(signal);
          await mixed.startAgain(go);
          await flow.more(20);
        }
        await assertWhole();
      });

      it("goes on when our lease is deleted: the same subnet is back, and no route of ours went", async () => {
        const { changes } = (await (our.daemon as AgentProcess).status()).datapath;
        const before = await mixed.cluster.store.get(our.key);
        await using flow = await Flow.open(go.pod.ns, our.pod.ns, our.pod.addresses[0] ?? "");
        assert.ok(await mixed.cluster.store.delete(our.key));
        const lease = await mixed.leaseOf(our);
        assert.equal(lease.valueText, before?.valueText);
        assert.notEqual(lease.lease, 0n);
        await flow.more(20);
        await assertWhole();
        assert.equal((await (our.daemon as AgentProcess).status()).datapath.changes, changes);
      });

      it("follows when Flannel's lease is deleted: its daemon ends, the others let it go and take it back", async () => {
        assert.ok(await mixed.cluster.store.delete(go2.key));
        assert.deepEqual(await go2.daemon.exit, { code: 0, signal: null });
        assert.match(go2.daemon.log(), /Lease has been revoked/);
        const others = mixed.members.filter((member) => member !== go2);
        await mixed.settled(others, others);
        await mixed.startAgain(go2);
        await assertWhole();
      });

      it("takes in late joiners of both kinds", async () => {
        await mixed.join("flannel", 5);
        await mixed.join("podpath", 6);
        await assertWhole();
      });

      it("forgets those that go for good, of either kind", async () => {
        const gone = mixed.members.filter(({ node }) => ["node5", "node6"].includes(node.name));
        assert.equal(gone.length, 2);
        for (const member of gone) await mixed.leave(member);
        await assertWhole();
      });

      it("carries traffic while the store is away, and follows it when it is back", async () => {
        await mixed.cluster.stopStore();
        await mixed.assertConnected();
        await mixed.cluster.startStore();
        await mixed.join("podpath", 7);
        await assertWhole();
      });
    });
}

/** The member's pod address of the same family. */
function addressLike({ pod }: Member, like: string): string {
  return pod.addresses.find((address) => address.includes(":") === like.includes(":")) ?? "";
}
