// What every backend must do, whatever it is made of. Run for each of testing/subjects.ts: on links in memory by
// backend.test.ts, and on a kernel by backend.netns.test.ts.
import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { formatLeaseAttrs, type LeaseAttrs, type NetworkConfig, parseNetworkConfig } from "../formats/flannel/index.ts";
import {
  formatPrefix,
  type IpFamily,
  parseIpv4,
  parseIpv6,
  parsePrefix,
  prefixFamily,
} from "../formats/netip/index.ts";
import {
  deleteRoute,
  IFA_F_NODAD,
  type LinkSpec,
  newAddress,
  newLink,
  newRoute,
  type Route,
  setLink,
} from "../formats/netlink/index.ts";
import { type ActualState, listHost, RTPROT_PODPATH, reconcile } from "../host/index.ts";
import { createUnnamedNetNs, type NetNs, Rtnl } from "../kernel/index.ts";
import type { Lease } from "../subnet/index.ts";
import { type Backend, BackendError, type ExternalInterface, openBackend } from "./index.ts";
import { MemoryKernel } from "./testing/memory-kernel.ts";

type Stack = "v4" | "dual" | "v6";
const STACKS = ["v4", "dual", "v6"] as const;

export interface BackendSubject {
  /** `Backend` of the network config. */
  readonly config: { readonly Type: string; readonly VNI?: number };
  readonly deviceNames: Readonly<Partial<Record<IpFamily, string>>>;
  /** The kind of its devices, where not every kernel has it. */
  readonly linkKind?: "ipip" | "wireguard";
  /** Devices that are made by other means than rtnetlink, so that a kernel in memory has to have them. */
  readonly premade?: readonly LinkSpec[];
  /** The lease of 192.168.100.11 and fd00:100::b, to the byte. A stack that is not here is refused. */
  readonly leaseValues: Readonly<Partial<Record<Stack, string>>>;
  /** On an interface of 1500. */
  readonly mtuBytes: Readonly<Partial<Record<Stack, number>>>;
  /** The lease of a peer 192.168.100.n and fd00:100::n (in hexadecimal) with the same backend. */
  readonly peerAttrs: (n: number) => LeaseAttrs;
  /**
   * A peer's subnet is routed by a device of ours and its own first address ("device") or the peer's public address
   * ("tunnel"), by its public address on the interface, or by nobody; or the whole network by a device, whoever is
   * there. "elsewhere": the peer is looked at, and routed by somebody's commands.
   */
  readonly nextHop: "device" | "tunnel" | "public" | "network" | "none" | "elsewhere";
}

const ETH0: ExternalInterface = {
  name: "eth0",
  index: 2,
  mtuBytes: 1500,
  address: parseIpv4("192.168.100.11"),
  publicIp: parseIpv4("192.168.100.11"),
  ipv6Address: parseIpv6("fd00:100::b"),
  publicIpv6: parseIpv6("fd00:100::b"),
};
const NETWORK = "10.244.0.0/16";
const NETWORKS = { v4: [NETWORK], dual: [NETWORK, "2001:db8:42::/48"], v6: ["2001:db8:42::/48"] } as const;
const NOTHING: ActualState = { links: [], addresses: [], routes: [], neighbours: [], fdb: [] };

function networkOf(subject: BackendSubject, stack: Stack): NetworkConfig {
  const v4 = stack === "v6" ? { EnableIPv4: false } : { Network: NETWORK };
  const v6 = stack === "v4" ? {} : { EnableIPv6: true, IPv6Network: "2001:db8:42::/48" };
  return parseNetworkConfig(JSON.stringify({ ...v4, ...v6, Backend: subject.config }));
}

/** Node n's lease: 10.244.n.0/24 and 2001:db8:42:n::/64, as far as the stack has them. */
function leaseOf(n: number, attrs: LeaseAttrs, stack: Stack): Lease {
  return {
    ...(stack !== "v6" && { subnet: parsePrefix(`10.244.${n}.0/24`) }),
    ...(stack !== "v4" && { ipv6Subnet: parsePrefix(`2001:db8:42:${n}::/64`) }),
    attrs,
  };
}

/** Each peer's subnet has a route of its own. */
function routesEach({ nextHop }: BackendSubject): boolean {
  return nextHop === "device" || nextHop === "tunnel" || nextHop === "public";
}

function subnetsOf(lease: Lease): string[] {
  return [lease.subnet, lease.ipv6Subnet].flatMap((subnet) => (subnet ? [formatPrefix(subnet)] : []));
}

function logger(): {
  lines: string[];
  log: Record<"debug" | "info" | "warn" | "error", (f: object, m: string) => void>;
} {
  const lines: string[] = [];
  const say = (_: object, message: string): void => {
    lines.push(message);
  };
  return { lines, log: { debug: say, info: say, warn: say, error: say } };
}

/** The part that needs no kernel. */
export function backendContract(subject: BackendSubject): void {
  const { Type: type } = subject.config;
  const open = (stack: Stack): { kernel: MemoryKernel; backend: Backend; lines: string[] } => {
    const kernel = new MemoryKernel();
    for (const spec of subject.premade ?? []) kernel.execute(newLink(spec));
    kernel.requests.length = 0;
    const { lines, log } = logger();
    return {
      kernel,
      lines,
      backend: openBackend({ rtnl: kernel, wireguard: kernel.wireguard, network: networkOf(subject, stack), log }),
    };
  };
  const start = async (stack: Stack): Promise<ReturnType<typeof open> & { own: Lease }> => {
    const opened = open(stack);
    const attrs = await opened.backend.leaseAttrs(ETH0, []);
    opened.backend.ensureDevices(ETH0, attrs);
    return { ...opened, own: leaseOf(1, attrs, stack) };
  };
  const peer = (n: number, stack: Stack): Lease => leaseOf(n, subject.peerAttrs(n), stack);

  const both = subject.leaseValues.dual === undefined ? "v4" : "dual";
  const stacks = STACKS.filter((stack) => subject.leaseValues[stack] !== undefined);

  describe(`backend contract: ${type}`, () => {
    it("is called as the network config calls it, in any case", () => {
      const network = networkOf({ ...subject, config: { ...subject.config, Type: type.toUpperCase() } }, "v4");
      assert.equal(openBackend({ rtnl: new MemoryKernel(), network, ...logger() }).type, type);
    });

    for (const stack of stacks) {
      it(`${stack}: publishes the lease that Flannel does, byte for byte`, async () => {
        assert.equal(formatLeaseAttrs(await open(stack).backend.leaseAttrs(ETH0, [])), subject.leaseValues[stack]);
      });

      it(`${stack}: has Flannel's devices, makes them once, and undoes what it made however often`, async () => {
        const { backend, kernel } = open(stack);
        const attrs = await backend.leaseAttrs(ETH0, []);
        assert.deepEqual(kernel.requests, [], "nothing is made before it is asked for");
        const families: IpFamily[] = stack === "dual" ? [4, 6] : stack === "v4" ? [4] : [6];
        const names = families.map((family) => subject.deviceNames[family]).filter((name) => name !== undefined);
        assert.deepEqual(backend.deviceNames, names);
        assert.deepEqual(backend.ensureDevices(ETH0, attrs), subject.premade ? [] : names);
        assert.deepEqual([...kernel.links.keys()], names);
        const count = kernel.requests.length;
        assert.deepEqual(backend.ensureDevices(ETH0, attrs), []);
        assert.equal(kernel.requests.length, count, "a second time changes nothing");
        for (let i = 0; i < 2; i++) backend.removeDevices();
        assert.deepEqual([...kernel.links.keys()], []);
      });

      it(`${stack}: another process finds the devices, wants the same of them, and changes nothing`, async () => {
        const { kernel, backend, own } = await start(stack);
        const { wireguard } = kernel;
        const other = openBackend({ rtnl: kernel, wireguard, network: networkOf(subject, stack), ...logger() });
        if (!other.findDevices) return;
        const before = kernel.requests.length;
        assert.deepEqual(other.findDevices(ETH0, own.attrs), []);
        const peers = [peer(2, stack), peer(3, stack)];
        assert.deepEqual(other.wanted(own, peers, ETH0, NOTHING), backend.wanted(own, peers, ETH0, NOTHING));
        assert.equal(kernel.requests.length, before);
        backend.removeDevices();
        const removed = kernel.requests.length;
        const problems = other.findDevices(ETH0, own.attrs);
        assert.deepEqual(
          problems,
          backend.deviceNames.map((name) => `${name} is missing`),
        );
        assert.equal(kernel.requests.length, removed);
      });

      it(`${stack}: leaves pods the MTU that fits the interface`, () => {
        const { backend } = open(stack);
        assert.equal(backend.mtuBytes(ETH0), subject.mtuBytes[stack]);
        assert.equal(backend.mtuBytes({ ...ETH0, mtuBytes: 9000 }), (subject.mtuBytes[stack] ?? 0) + 7500);
      });

      it(`${stack}: wants nothing for its own lease, and the cluster's networks to itself`, async () => {
        const { backend, own } = await start(stack);
        const wanted = backend.wanted(own, [own], ETH0, NOTHING);
        assert.deepEqual(wanted.peers, []);
        assert.deepEqual(wanted.ranges.map(formatPrefix), NETWORKS[stack]);
        assert.deepEqual(
          wanted.devices.map(({ name }) => name),
          backend.deviceNames,
        );
      });

      it(`${stack}: wants the same each time it is asked`, async () => {
        const { backend, own, lines } = await start(stack);
        const peers = [peer(2, stack), peer(3, stack)];
        const wanted = backend.wanted(own, peers, ETH0, NOTHING);
        assert.equal(wanted.peers.length, subject.nextHop === "none" ? 0 : 2);
        assert.deepEqual(backend.wanted(own, peers, ETH0, NOTHING), wanted);
        assert.deepEqual(lines, []);
      });
    }

    for (const stack of STACKS.filter((stack) => !stacks.includes(stack)))
      it(`${stack}: is refused, with what to do`, () => {
        assert.throws(
          () => open(stack),
          (error) => error instanceof BackendError && /IPv6.*EnableIPv6/.test(error.message),
        );
      });

    it("ignores a peer it cannot use, with one line, and again when that changes", async () => {
      const { backend, own, lines } = await start("v4");
      const stranger = leaseOf(9, { publicIp: parseIpv4("192.168.100.9"), backendType: "pigeon" }, "v4");
      const good = peer(2, "v4");
      const alone = backend.wanted(own, [good], ETH0, NOTHING);
      for (let i = 0; i < 3; i++)
        assert.deepEqual(backend.wanted(own, [stranger, good], ETH0, NOTHING).peers, alone.peers);
      const perStranger = subject.nextHop === "none" ? 0 : 1;
      assert.equal(lines.length, perStranger, lines.join("\n"));
      for (const line of lines) assert.match(line, /10\.244\.9\.0\/24.*"pigeon"/);
      backend.wanted(own, [good], ETH0, NOTHING);
      backend.wanted(own, [stranger], ETH0, NOTHING);
      assert.equal(lines.length, 2 * perStranger);
    });

    it("ignores a peer that says it is this node, or has this node's subnet", async () => {
      const { backend, own } = await start(both);
      const twin = leaseOf(5, { ...subject.peerAttrs(5), publicIp: parseIpv4("192.168.100.11") }, both);
      assert.deepEqual(backend.wanted(own, [twin, peer(1, both)], ETH0, NOTHING).peers, []);
    });

    it("says which address is missing before it takes a lease", async () => {
      const { index, name, mtuBytes } = ETH0;
      for (const [stack, family] of [
        ["v4", /IPv4/],
        ["v6", /IPv6/],
      ] as const)
        if (stacks.includes(stack))
          await assert.rejects(
            async () => open(stack).backend.leaseAttrs({ index, name, mtuBytes }, []),
            (error) => error instanceof BackendError && family.test(error.message) && /--iface/.test(error.message),
          );
    });
  });
}

/** The part that needs one: what the backend wants is what the kernel then has. */
export function backendKernelContract(subject: BackendSubject, skip: string | false): void {
  const { Type: type, ...rest } = subject.config;
  describe(`backend contract in a kernel: ${type} ${JSON.stringify(rest)}`, { skip }, () => {
    let node: KernelNode | undefined;
    afterEach(() => node?.close());

    for (const stack of STACKS.filter((stack) => subject.leaseValues[stack] !== undefined)) {
      const peers = [2, 3].map((n) => leaseOf(n, subject.peerAttrs(n), stack));
      const routedTo = (leases: readonly Lease[]): string[] =>
        subject.nextHop === "network"
          ? [...NETWORKS[stack]]
          : routesEach(subject)
            ? leases.flatMap(subnetsOf).sort()
            : [];

      it(`${stack}: routes peers by protocol 112, finds nothing left to do, repairs, and forgets who went`, async () => {
        node = await KernelNode.start(subject, stack);
        await node.reconcile(peers);
        assert.deepEqual(node.routed(), routedTo(peers));
        for (const route of node.ours()) node.assertNextHop(route, subject, peers);
        assert.deepEqual(await node.reconcile(peers), []);
        for (const { family, dst } of node.ours()) node.rtnl.execute(deleteRoute({ family, dst }));
        assert.deepEqual(node.routed(), []);
        await node.reconcile(peers);
        assert.deepEqual(node.routed(), routedTo(peers));
        await node.reconcile(peers.slice(1));
        assert.deepEqual(node.routed(), routedTo(peers.slice(1)));
      });

      it(`${stack}: undoes all that it made, and nothing else`, async () => {
        node = await KernelNode.start(subject, stack);
        const before = node.everything();
        await node.reconcile(peers);
        node.backend.removeDevices();
        assert.deepEqual(node.everything(), before);
      });
    }

    it("leaves a foreign route in the way alone, and names it", async () => {
      node = await KernelNode.start(subject, "v4");
      const peers = [2, 3].map((n) => leaseOf(n, subject.peerAttrs(n), "v4"));
      const inTheWay = subject.nextHop === "network" ? NETWORK : "10.244.2.0/24";
      const dst = parsePrefix(inTheWay);
      const foreign = { family: 4, dst, gateway: parseIpv4("192.168.100.77"), protocol: 4 } as const;
      node.rtnl.execute(newRoute({ ...foreign, oif: node.external.index }));
      await node.reconcile(peers);
      const inPlace = node.rtnl.routes().filter((route) => route.dst && formatPrefix(route.dst) === inTheWay);
      assert.deepEqual(
        inPlace.map(({ gateway, protocol }) => ({ gateway, protocol })),
        [{ gateway: "192.168.100.77", protocol: 4 }],
      );
      assert.deepEqual(node.routed(), routesEach(subject) ? ["10.244.3.0/24"] : []);
      assert.equal(node.conflicts.length, routesEach(subject) || subject.nextHop === "network" ? 1 : 0);
      for (const conflict of node.conflicts) assert.match(conflict, /10\.244\.[02]\.0\/(16|24).*ip route del/);
    });
  });
}

/** A namespace with eth0, and the backend in it. */
class KernelNode {
  readonly #ns: NetNs;
  readonly rtnl: Rtnl;
  readonly external: ExternalInterface;
  readonly backend: Backend;
  conflicts: readonly string[] = [];
  readonly #own: Lease;

  private constructor(of: Pick<KernelNode, "rtnl" | "external" | "backend"> & { ns: NetNs; own: Lease }) {
    this.#ns = of.ns;
    this.rtnl = of.rtnl;
    this.external = of.external;
    this.backend = of.backend;
    this.#own = of.own;
  }

  static async start(subject: BackendSubject, stack: Stack): Promise<KernelNode> {
    const ns = createUnnamedNetNs();
    const rtnl = Rtnl.open(ns);
    const peer = { name: "fabric" };
    rtnl.execute(newLink({ name: "eth0", kind: { kind: "veth", peer }, isUp: true }));
    rtnl.execute(setLink({ name: "fabric", isUp: true }));
    const index = rtnl.link("eth0")?.index ?? 0;
    const external = { ...ETH0, index };
    rtnl.execute([
      newAddress({ index, prefix: parsePrefix("192.168.100.11/24") }),
      newAddress({ index, prefix: parsePrefix("fd00:100::b/64"), flags: IFA_F_NODAD }),
    ]);
    const network = networkOf(subject, stack);
    const backend = openBackend({ rtnl, ns, network, ...logger() });
    const own = leaseOf(1, await backend.leaseAttrs(external, []), stack);
    return new KernelNode({ ns, rtnl, external, backend, own });
  }

  /** As the agent's pass does. */
  async reconcile(peers: readonly Lease[]): Promise<readonly unknown[]> {
    this.backend.ensureDevices(this.external, this.#own.attrs);
    const actual = listHost(this.rtnl);
    const wanted = this.backend.wanted(this.#own, peers, this.external, actual);
    const { applied, failures, conflicts } = await reconcile(this.rtnl, wanted, { actual });
    assert.deepEqual(failures, []);
    assert.deepEqual((await this.backend.settle?.(this.#own, peers, this.external, () => false)) ?? [], []);
    this.conflicts = conflicts.map(({ why }) => why);
    return applied;
  }

  ours(): Route[] {
    return this.rtnl.routes({ protocol: RTPROT_PODPATH });
  }

  routed(): string[] {
    return this.ours()
      .flatMap(({ dst }) => (dst ? [formatPrefix(dst)] : []))
      .sort();
  }

  assertNextHop({ dst, gateway, oif, onlink }: Route, subject: BackendSubject, peers: readonly Lease[]): void {
    assert.ok(dst);
    const lease = peers.find((peer) => subnetsOf(peer).includes(formatPrefix(dst)));
    const family = prefixFamily(dst);
    const publicAddress = family === 4 ? lease?.attrs.publicIp : lease?.attrs.publicIpv6;
    const device = this.rtnl.link(subject.deviceNames[family] ?? "")?.index;
    const expected = {
      network: { gateway: undefined, oif: device, onlink: false },
      device: { gateway: dst.address, oif: device, onlink: true },
      tunnel: { gateway: publicAddress, oif: device, onlink: true },
      public: { gateway: publicAddress, oif: this.external.index, onlink: false },
      none: undefined,
      elsewhere: undefined,
    }[subject.nextHop];
    assert.deepEqual({ gateway, oif, onlink }, expected);
  }

  /** The links, and the routes that lead to another node. */
  everything(): unknown {
    const routes = this.rtnl.routes().filter(({ protocol, gateway }) => protocol === RTPROT_PODPATH || gateway);
    return { links: this.rtnl.links().map(({ name }) => name), routes };
  }

  async close(): Promise<void> {
    // A forwarder, which would outlive us, ends with its device.
    this.backend.removeDevices();
    await this.backend.stop?.();
    this.rtnl[Symbol.dispose]();
    this.#ns.close();
  }
}
